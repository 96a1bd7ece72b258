#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>

/// Device scratch of the kernels that need some, in bytes, from extents alone: plain C++, so that
/// plans can be made where there is no CUDA. Scratch must be 16-byte aligned.
namespace lomo::kernels {

constexpr std::int64_t blocks_of(std::int64_t n, std::int64_t size) {
  return (n + size - 1) / size;
}
template <class T>
constexpr std::size_t bytes_of(std::int64_t count) {
  return static_cast<std::size_t>(count) * sizeof(T);
}

// ---- sums of chunks of rows: chunks.cuh

inline constexpr std::int64_t kChunkColumns = 16384;
constexpr std::int64_t chunk_count(std::int64_t rows, std::int64_t cols) {
  return rows * blocks_of(cols, kChunkColumns);
}
/// Of `sums` sums over a (rows,cols) matrix.
constexpr std::size_t chunks_workspace(int sums, std::int64_t rows, std::int64_t cols) {
  return bytes_of<double>(sums * chunk_count(rows, cols));
}
constexpr std::size_t squared_norm_workspace(std::int64_t rows, std::int64_t cols) {
  return chunks_workspace(2, rows, cols);
}
constexpr std::size_t inner_product_workspace(std::int64_t rows, std::int64_t cols) {
  return chunks_workspace(3, rows, cols);
}
/// Of an update that keeps rounding statistics; without one it needs none.
constexpr std::size_t rounding_stats_workspace(std::int64_t rows, std::int64_t cols) {
  return chunks_workspace(4, rows, cols);
}

// ---- AdaLomo: adalomo.cu

inline constexpr std::int64_t kSquareRows = 64;      // of a tile whose squares a block sums
inline constexpr std::int64_t kSquareColumns = 512;  // of it
constexpr std::size_t square_sums_workspace(std::int64_t rows, std::int64_t cols) {
  return bytes_of<float>(rows * blocks_of(cols, kSquareColumns) +
                         blocks_of(rows, kSquareRows) * cols);
}
/// Row and column factors, 16-byte aligned each.
constexpr std::size_t factors_workspace(std::int64_t rows, std::int64_t cols) {
  return bytes_of<float>((blocks_of(rows, 4) + blocks_of(cols, 4)) * 4);
}
constexpr std::size_t adalomo_statistics_workspace(std::int64_t rows, std::int64_t cols) {
  return factors_workspace(rows, cols) + chunks_workspace(2, rows, cols);
}
constexpr std::size_t adalomo_update_workspace(std::int64_t rows, std::int64_t cols,
                                               bool rounding_stats) {
  return factors_workspace(rows, cols) +
         (rounding_stats ? rounding_stats_workspace(rows, cols) : 0);
}

// ---- block: norm.cu, head_norm.cu, bias.cu, attention_backward.cu

inline constexpr std::int64_t kMaxRowRuns = 256;  // of rows that are summed apart
inline constexpr std::int64_t kMinRowRun = 4;     // rows
constexpr std::int64_t rows_of_run(std::int64_t rows) {
  return std::max(kMinRowRun, blocks_of(rows, kMaxRowRuns));
}
/// A sum of each run and column.
constexpr std::size_t row_runs_workspace(std::int64_t rows, std::int64_t cols) {
  return bytes_of<float>(blocks_of(rows, rows_of_run(rows)) * cols);
}
/// Of rmsnorm_backward when it makes dw (cols), by heads too.
constexpr std::size_t rmsnorm_backward_workspace(std::int64_t rows, std::int64_t cols) {
  return row_runs_workspace(rows, cols);
}
constexpr std::size_t sum_columns_workspace(std::int64_t rows, std::int64_t cols) {
  return row_runs_workspace(rows, cols);
}
/// Shared memory of a block of the tiled backward: 128 rows of two matrices and two stages of 32
/// rows of two, 16 bits each.
constexpr std::int64_t attention_backward_shared(std::int64_t width) {
  return (2 * 128 + 4 * 32) * width * 2;
}
/// Whether attention has tiles for heads so wide, of elements of so many bytes. Wider ones would
/// not fit into the 99 KiB of a block on sm_86 and sm_89, nor would their sums, an element of width
/// a register, into the 255 of a thread.
constexpr bool attention_has_tiles(std::int64_t width, std::size_t element) {
  return element == 2 && (width == 64 || width == 80 || width == 96 || width == 128);
}
/// (heads,query_rows) row sums of dout * out.
constexpr std::size_t attention_backward_workspace(std::int64_t query_rows, std::int64_t heads) {
  return bytes_of<float>(query_rows * heads);
}

}  // namespace lomo::kernels

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

// ---- sums of pieces of rows: pieces.cuh

inline constexpr std::int64_t kPieceColumns = 16384;
constexpr std::int64_t piece_count(std::int64_t rows, std::int64_t cols) {
  return rows * blocks_of(cols, kPieceColumns);
}
/// Of `sums` sums over a (rows,cols) matrix.
constexpr std::size_t pieces_workspace(int sums, std::int64_t rows, std::int64_t cols) {
  return bytes_of<double>(sums * piece_count(rows, cols));
}
constexpr std::size_t measure_workspace(std::int64_t rows, std::int64_t cols) {
  return pieces_workspace(2, rows, cols);
}
constexpr std::size_t inner_product_workspace(std::int64_t rows, std::int64_t cols) {
  return pieces_workspace(3, rows, cols);
}
/// Of an update that keeps a tally of its rounding; without one it needs none.
constexpr std::size_t tally_workspace(std::int64_t rows, std::int64_t cols) {
  return pieces_workspace(4, rows, cols);
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
constexpr std::size_t adalomo_measure_workspace(std::int64_t rows, std::int64_t cols) {
  return factors_workspace(rows, cols) + pieces_workspace(2, rows, cols);
}
constexpr std::size_t adalomo_update_workspace(std::int64_t rows, std::int64_t cols, bool tally) {
  return factors_workspace(rows, cols) + (tally ? tally_workspace(rows, cols) : 0);
}

// ---- block: norm.cu, attention_backward.cu

inline constexpr std::int64_t kMostNormRuns = 256;  // of rows whose dw are summed apart
inline constexpr std::int64_t kLeastNormRun = 4;    // rows
constexpr std::int64_t rows_of_norm_run(std::int64_t rows) {
  return std::max(kLeastNormRun, blocks_of(rows, kMostNormRuns));
}
/// Of rmsnorm_backward when it makes dw.
constexpr std::size_t rmsnorm_backward_workspace(std::int64_t rows, std::int64_t cols) {
  return bytes_of<float>(blocks_of(rows, rows_of_norm_run(rows)) * cols);
}
/// (heads,query_rows) row sums of dout * out.
constexpr std::size_t attention_backward_workspace(std::int64_t query_rows, std::int64_t heads) {
  return bytes_of<float>(query_rows * heads);
}

}  // namespace lomo::kernels

#pragma once
// Sums over a matrix whose bits do not depend on how its rows are cut into tiles: a row is cut into
// pieces of at most 16384 columns, a block sums a piece in a fixed order, and the pieces are added
// to the running total one after the other.
#include "block.cuh"
#include "launch.cuh"

namespace lomo::kernels {

inline constexpr std::int64_t kPieceColumns = 16384;

struct TwoSums {
  double first, second;
};

/// f(x, row, column) adds the N elements from `column` on to the two sums in x.
template <int N, class F>
__device__ __forceinline__ void sum_piece(TwoSums* partial, std::int64_t cols, F&& f) {
  SHARED_ARRAY(double, scratch, kThreads / 32);
  const std::int64_t across = (cols + kPieceColumns - 1) / kPieceColumns;
  const std::int64_t row = blockIdx.x / across;
  const std::int64_t first = blockIdx.x % across * kPieceColumns;
  const std::int64_t end = first + kPieceColumns < cols ? first + kPieceColumns : cols;
  TwoSums mine{0, 0};
  for (std::int64_t j = first + static_cast<std::int64_t>(threadIdx.x) * N; j < end;
       j += kThreads * N) {
    f(mine, row, j);
  }
  mine.first = reduce_block(mine.first, scratch, Add{});
  mine.second = reduce_block(mine.second, scratch, Add{});
  if (threadIdx.x == 0) partial[blockIdx.x] = mine;
}

/// total[0], total[1] += the pieces in order. One block: only the additions themselves are serial.
static __global__ void __launch_bounds__(kThreads)
    add_pieces_kernel(double* total, TwoSums const* partial, std::int64_t count) {
  SHARED_ARRAY(TwoSums, ahead, kThreads);
  const int thread = threadIdx.x;
  TwoSums sum{0, 0};
  if (thread == 0) sum = {total[0], total[1]};
  for (std::int64_t first = 0; first < count; first += kThreads) {
    if (first + thread < count) ahead[thread] = partial[first + thread];
    __syncthreads();
    if (thread == 0) {
      const std::int64_t here = count - first < kThreads ? count - first : kThreads;
      for (int i = 0; i < here; ++i) {
        sum.first += ahead[i].first;
        sum.second += ahead[i].second;
      }
    }
    __syncthreads();
  }
  if (thread == 0) {
    total[0] = sum.first;
    total[1] = sum.second;
  }
}

inline std::int64_t piece_count(std::int64_t rows, std::int64_t cols) {
  return rows * div_up(cols, kPieceColumns);
}

inline cudaError_t add_pieces(double* total, void const* partial, std::int64_t count,
                              cudaStream_t stream) {
  return launch(add_pieces_kernel, dim3(1), dim3(kThreads), 0, stream, total,
                static_cast<TwoSums const*>(partial), count);
}

}  // namespace lomo::kernels

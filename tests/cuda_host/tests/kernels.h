#pragma once
// Small kernels with the idioms of the real ones, each with deliberate mistakes to choose from.
#include "device.cuh"

namespace cuda_host::test {

namespace ptx = lomo::kernels::ptx;
using bf16 = __nv_bfloat16;

enum class Mistake { none, first_barrier, last_barrier, wait_group };

/// out[i] = sum over the block of x[row i], for `rows` rows of blockDim.x: the scratch is used
/// again for each row. Mistakes: no barrier before the scratch is read; none before it is used
/// again.
template <Mistake kMistake>
__global__ void __launch_bounds__(256) row_sums(float* out, float const* x, int rows) {
  SHARED_ARRAY(float, scratch, 8);
  const int thread = threadIdx.x;
  const int warps = blockDim.x / 32;
  for (int row = 0; row < rows; ++row) {
    float sum = x[row * static_cast<int>(blockDim.x) + thread];
    for (int apart = 16; apart > 0; apart /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, apart);
    if (thread % 32 == 0) scratch[thread / 32] = sum;
    if (kMistake != Mistake::first_barrier) __syncthreads();
    float total = 0.0f;
    for (int i = 0; i < warps; ++i) total += scratch[i];
    if (kMistake != Mistake::last_barrier) __syncthreads();
    if (thread == (row * 37) % static_cast<int>(blockDim.x)) out[row] = total;
  }
}

struct Stages {
  bf16 a[2][64 * 24];  // (M,16), rows 8 elements apart in banks
  bf16 b[2][16 * 16];  // (16,N): only the first 8 columns are used
};

/// c (64,8) = a (64,16 tiles) b (16 tiles,8), four warps of 16 rows, two stages of cp.async.
/// Mistakes: a wait that leaves the group that is needed, no barrier after the wait, none at the
/// loop's end.
template <Mistake kMistake>
__global__ void __launch_bounds__(128)
    tile_product(float* c, bf16 const* a, bf16 const* b, int tiles) {
  DYN_SHARED(Stages, shared);
  const int thread = threadIdx.x;
  const int lane = thread % 32;
  const int warp = thread / 32;
  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      const int row = thread / 2, column = thread % 2 * 8;
      ptx::cp_async16(&shared.a[tile % 2][row * 24 + column],
                      a + (row * tiles + tile) * 16 + column);
      // Rows of b are 8 elements: the other half of the tile is filled with zeros.
      if (thread < 32) {
        ptx::cp_async16(&shared.b[tile % 2][thread / 2 * 16 + column],
                        b + (tile * 16 + thread / 2) * 8, column == 0);
      }
    }
    ptx::cp_async_commit();
  };
  float sums[4] = {};
  fetch(0);
  for (int tile = 0; tile < tiles; ++tile) {
    fetch(tile + 1);
    ptx::cp_async_wait<kMistake == Mistake::wait_group ? 2 : 1>();
    if (kMistake != Mistake::first_barrier) __syncthreads();
    std::uint32_t left[4], right[4];
    ptx::ldmatrix_x4(left, &shared.a[tile % 2][(warp * 16 + lane % 16) * 24 + lane / 16 * 8]);
    ptx::ldmatrix_x4_trans(right, &shared.b[tile % 2][lane % 16 * 16 + lane / 16 * 8]);
    const std::uint32_t columns[2] = {right[0], right[1]};
    ptx::mma_m16n8k16<bf16>(sums, left, columns);
    if (kMistake != Mistake::last_barrier) __syncthreads();
  }
  for (int i = 0; i < 4; ++i) {
    c[(warp * 16 + lane / 4 + i / 2 * 8) * 8 + lane % 4 * 2 + i % 2] = sums[i];
  }
}

}  // namespace cuda_host::test

#pragma once
// Tiles of rows of 16-bit elements in shared memory, and the operands of mma.sync m16n8k16 in them.
//
// Chunk c (16 bytes) of row r lies at chunk c ^ (r % 8): the eight rows that one phase of ldmatrix
// reads at the same chunk, and the eight threads that fill or empty a row, touch all 32 banks once.
// So that this stays inside a row, rows of 80 and 96 elements lie 128 apart; what is between is not
// touched, and products take no longer than their own width.
#include <bit>

#include "block.cuh"
#include "storage.cuh"

namespace lomo::kernels {

template <int kRows, int kWidth>
struct Tile {
  static constexpr int kChunks = kWidth / 8;
  static constexpr int kPitch = std::bit_ceil(static_cast<unsigned>(kChunks));  // of rows, chunks
  uint4 chunks[kRows * kPitch];

  __device__ __forceinline__ uint4* at(int row, int chunk) {
    return &chunks[row * kPitch + (chunk ^ (row % 8))];
  }
  /// False for the threads that would move what lies between rows.
  static __device__ __forceinline__ bool has(int chunk) {
    return kChunks == kPitch || chunk < kChunks;
  }

  /// Begins to copy rows [0, kRows) by all threads of the block; rows from `count` on become zero.
  template <int kBlock, class T>
  __device__ __forceinline__ void fill(T const* rows, std::int64_t pitch, int count) {
    constexpr int kStep = kBlock / kPitch;  // rows apart, so that a thread keeps its chunk
    static_assert(kRows % kStep == 0 && kStep % 8 == 0);
    const int row = static_cast<int>(threadIdx.x) / kPitch;
    const int chunk = static_cast<int>(threadIdx.x) % kPitch;
    if (!has(chunk)) return;
    uint4* const to = at(row, chunk);
    T const* from = rows + row * pitch + 8 * chunk;
#pragma unroll
    for (int i = 0; i < kRows / kStep; ++i) {
      const bool valid = row + i * kStep < count;
      ptx::cp_async16(to + i * kStep * kPitch, valid ? from : rows, valid);
      from += kStep * pitch;
    }
  }

  /// Left operand: rows [row, row + 16), columns [16 step, 16 step + 16).
  __device__ __forceinline__ void left(std::uint32_t (&a)[4], int row, int step) {
    const int lane = threadIdx.x % 32;
    ptx::ldmatrix_x4(a, at(row + lane % 16, 2 * step + lane / 16));
  }

  /// Right operand of a product with this tile's rows: two times eight of them from `row` on as
  /// columns n, columns [16 step, 16 step + 16) as k.   b[0], b[1]: the first eight; b[2], b[3].
  __device__ __forceinline__ void right_rows(std::uint32_t (&b)[4], int row, int step) {
    const int lane = threadIdx.x % 32;
    ptx::ldmatrix_x4(b, at(row + lane / 16 * 8 + lane % 8, 2 * step + lane / 8 % 2));
  }

  /// Right operand of a product with this tile itself: rows [row, row + 16) as k, two times eight
  /// columns from 16 step on as n.
  __device__ __forceinline__ void right(std::uint32_t (&b)[4], int row, int step) {
    const int lane = threadIdx.x % 32;
    ptx::ldmatrix_x4_trans(b, at(row + lane % 16, 2 * step + lane / 16));
  }

  /// Writes accumulators of rows [row, row + 16), scaled by row g and row g + 8, as T.
  template <class T>
  __device__ __forceinline__ void put(float const (&c)[kWidth / 8][4], int row, float scale,
                                      float lower_scale) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int n = 0; n < kWidth / 8; ++n) {
      const std::uint32_t upper = pack<T>(c[n][0] * scale, c[n][1] * scale);
      const std::uint32_t lower = pack<T>(c[n][2] * lower_scale, c[n][3] * lower_scale);
      reinterpret_cast<std::uint32_t*>(at(row + lane / 4, n))[lane % 4] = upper;
      reinterpret_cast<std::uint32_t*>(at(row + lane / 4 + 8, n))[lane % 4] = lower;
    }
  }

  /// Copies rows [row, row + 16) to global memory by one warp, those below `count` only.
  template <class T>
  __device__ __forceinline__ void empty(T* rows, std::int64_t pitch, int row, int count) {
    const int lane = threadIdx.x % 32;
#pragma unroll
    for (int i = 0; i < 16 * kPitch / 32; ++i) {
      const int place = i * 32 + lane;
      const int r = row + place / kPitch, chunk = place % kPitch;
      if (r < count && has(chunk))
        ptx::store16(rows + r * pitch + 8 * chunk, ptx::load16(at(r, chunk)));
    }
  }
};

/// c[2 pair], c[2 pair + 1] += a times the two right operands in b.
template <class T, int n>
__device__ __forceinline__ void multiply(float (&c)[n][4], int pair, std::uint32_t const (&a)[4],
                                         std::uint32_t const (&b)[4]) {
  const std::uint32_t first[2] = {b[0], b[1]};
  const std::uint32_t second[2] = {b[2], b[3]};
  ptx::mma_m16n8k16<T>(c[2 * pair], a, first);
  ptx::mma_m16n8k16<T>(c[2 * pair + 1], a, second);
}

/// Columns [16 step, 16 step + 16) of accumulators, rounded to T, as a left operand.
template <class T, int n>
__device__ __forceinline__ void as_left(std::uint32_t (&a)[4], float const (&c)[n][4], int step) {
  a[0] = pack<T>(c[2 * step][0], c[2 * step][1]);
  a[1] = pack<T>(c[2 * step][2], c[2 * step][3]);
  a[2] = pack<T>(c[2 * step + 1][0], c[2 * step + 1][1]);
  a[3] = pack<T>(c[2 * step + 1][2], c[2 * step + 1][3]);
}

}  // namespace lomo::kernels

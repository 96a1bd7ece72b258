// The layouts of mma and ldmatrix, entry by entry, against CuTe's published thread-value layouts:
// an emulator that had them wrong would agree with a kernel that has them wrong.
#include "kernel_test.h"

using namespace cuda_host;
using namespace cuda_host::test;
namespace ptx = lomo::kernels::ptx;
using bf16 = __nv_bfloat16;

namespace {

/// Offset of a coordinate in a mode of sizes and strides, the first varying quickest.
int offset(int coordinate, std::vector<std::pair<int, int>> const& mode) {
  int at = 0;
  for (auto const& [size, stride] : mode) {
    at += coordinate % size * stride;
    coordinate /= size;
  }
  return at;
}

/// A thread-value layout: where in a column-major matrix the value of a lane lies.
struct Layout {
  std::vector<std::pair<int, int>> thread, value;
  int rows;
  std::pair<int, int> operator()(int lane, int v) const {
    const int at = offset(lane, thread) + offset(v, value);
    return {at % rows, at / rows};
  }
};
const Layout kA{{{4, 32}, {8, 1}}, {{2, 16}, {2, 8}, {2, 128}}, 16};  // (M,K)
const Layout kB{{{4, 16}, {8, 1}}, {{2, 8}, {2, 64}}, 8};             // (N,K)
const Layout kC{{{4, 32}, {8, 1}}, {{2, 16}, {2, 8}}, 16};            // (M,N)

template <class T>
__global__ void __launch_bounds__(32)
    one_mma(float* c, std::uint32_t const* a, std::uint32_t const* b) {
  const int lane = threadIdx.x;
  float sums[4] = {};
  const std::uint32_t left[4] = {a[4 * lane], a[4 * lane + 1], a[4 * lane + 2], a[4 * lane + 3]};
  const std::uint32_t right[2] = {b[2 * lane], b[2 * lane + 1]};
  ptx::mma_m16n8k16<T>(sums, left, right);
  for (int i = 0; i < 4; ++i) c[4 * lane + i] = sums[i];
}

template <class T>
T from_float(float x) {
  if constexpr (std::is_same_v<T, bf16>) return __float2bfloat16_rn(x);
  if constexpr (std::is_same_v<T, __half>) return __float2half_rn(x);
}

/// The fragments of a matrix whose only entry is `x`, held by the lanes that the layout names.
template <class T>
std::vector<std::uint32_t> unit(Layout const& layout, int values, std::pair<int, int> where,
                                float x) {
  std::vector<T> all(static_cast<std::size_t>(32 * values), from_float<T>(0.0f));
  for (int lane = 0; lane < 32; ++lane) {
    for (int v = 0; v < values; ++v) {
      if (layout(lane, v) == where) all[lane * values + v] = from_float<T>(x);
    }
  }
  std::vector<std::uint32_t> words(all.size() / 2);
  std::memcpy(words.data(), all.data(), words.size() * 4);
  return words;
}

template <class T>
void check_mma() {
  reset();
  // a has 2 at (m,k), b has 3 at (k,n): c must have 6 at (m,n) and nowhere else. 16 x 16 x 8 is
  // many launches for 128 entries a time; every (m,k) with one n, and every (n,k) with one m, says
  // as much.
  for (int k = 0; k < 16; ++k) {
    for (int i = 0; i < 24; ++i) {
      const int m = i < 16 ? i : 5, n = i < 16 ? (i + k) % 8 : i - 16;
      std::uint32_t* const a = to_device(unit<T>(kA, 8, {m, k}, 2.0f));
      std::uint32_t* const b = to_device(unit<T>(kB, 4, {n, k}, 3.0f));
      float* const c = on_device<float>(128);
      REQUIRE(failure_of({}, one_mma<T>, c, a, b) == "");
      const std::vector<float> got = to_host(c, 128);
      for (int lane = 0; lane < 32; ++lane) {
        for (int v = 0; v < 4; ++v) {
          const float want = kC(lane, v) == std::pair(m, n) ? 6.0f : 0.0f;
          if (got[4 * lane + v] != want) {
            FAIL("m " << m << " n " << n << " k " << k << " lane " << lane << " value " << v << ": "
                      << got[4 * lane + v]);
          }
        }
      }
      REQUIRE(cudaFree(a) == cudaSuccess);
      REQUIRE(cudaFree(b) == cudaSuccess);
      REQUIRE(cudaFree(c) == cudaSuccess);
    }
  }
}

template <bool kTransposed>
__global__ void __launch_bounds__(32) one_ldmatrix(std::uint32_t* out) {
  SHARED_ARRAY(std::uint16_t, tile, 32 * 8);
  const int lane = threadIdx.x;
  for (int i = 0; i < 8; ++i) tile[8 * lane + i] = static_cast<std::uint16_t>(100 * lane + i);
  __syncwarp();
  std::uint32_t r[4];
  if constexpr (kTransposed) {
    ptx::ldmatrix_x4_trans(r, tile + 8 * lane);
  } else {
    ptx::ldmatrix_x4(r, tile + 8 * lane);
  }
  for (int i = 0; i < 4; ++i) out[4 * lane + i] = r[i];
}

/// Row and column of a 16x16 tile that lane's element v comes from when the matrices are its
/// quarters in the order of the registers of an mma's left operand: upper left, lower left, upper
/// right, lower right.
std::pair<int, int> place_in_tile(int value) {
  const int row = value / 100, column = value % 100;
  return {row % 16, column + row / 16 * 8};
}

}  // namespace

TEST_CASE("mma_m16n8k16 has CuTe's layout") {
  SECTION("bf16") {
    check_mma<bf16>();
  }
  SECTION("fp16") {
    check_mma<__half>();
  }
}

TEST_CASE("ldmatrix_x4 gives the fragments of mma") {
  reset();
  std::uint32_t* const out = on_device<std::uint32_t>(128);
  REQUIRE(failure_of({}, one_ldmatrix<false>, out) == "");
  const std::vector<std::uint32_t> got = to_host(out, 128);
  for (int lane = 0; lane < 32; ++lane) {
    for (int v = 0; v < 8; ++v) {
      const int value = got[4 * lane + v / 2] >> (v % 2 * 16) & 0xffff;
      CHECK(place_in_tile(value) == kA(lane, v));
    }
  }
}

TEST_CASE("ldmatrix_x4_trans swaps rows and columns of each matrix") {
  reset();
  std::uint32_t* const out = on_device<std::uint32_t>(128);
  REQUIRE(failure_of({}, one_ldmatrix<true>, out) == "");
  const std::vector<std::uint32_t> got = to_host(out, 128);
  // A (K,N) tile of 16 rows of 8, transposed, is the right operand: its k is the row.
  for (int lane = 0; lane < 32; ++lane) {
    for (int v = 0; v < 4; ++v) {
      const int value = got[4 * lane + v / 2] >> (v % 2 * 16) & 0xffff;
      CHECK(std::pair(value % 100, value / 100) == kB(lane, v));
    }
  }
}

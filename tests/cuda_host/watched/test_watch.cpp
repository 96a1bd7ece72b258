// Watched kernels: what races, what conflicts and what is scattered is told apart from what is not.
#include "../tests/kernel_test.h"
#include "../tests/kernels.h"
#include "cuda_host/watch.h"

using namespace cuda_host;
using namespace cuda_host::test;
using Catch::Contains;

namespace {

template <Mistake kMistake>
std::string sums_report() {
  float* const out = on_device<float>(6);
  float* const in = to_device(std::vector<float>(6 * 256, 1.0f));
  return failure_of({1, 256}, row_sums<kMistake>, out, in, 6);
}

template <Mistake kMistake>
std::string product_report() {
  constexpr int kTiles = 5;
  float* const c = on_device<float>(64 * 8);
  bf16* const a = to_device(std::vector<bf16>(64 * 16 * kTiles, __float2bfloat16_rn(1.0f)));
  bf16* const b = to_device(std::vector<bf16>(8 * 16 * kTiles, __float2bfloat16_rn(1.0f)));
  return failure_of({1, 128, sizeof(Stages)}, tile_product<kMistake>, c, a, b, kTiles);
}

enum class Between { nothing, shuffle, warp, block };

/// Thread t stores to one place and loads the place of thread t ^ flip.
template <Between kBetween>
__global__ void __launch_bounds__(64) swap_places(float* out, int flip) {
  SHARED_ARRAY(float, a, 64);
  const int t = threadIdx.x;
  a[t] = static_cast<float>(t);
  if constexpr (kBetween == Between::shuffle) __shfl_xor_sync(0xffffffffu, 1, 1);
  if constexpr (kBetween == Between::warp) __syncwarp();
  if constexpr (kBetween == Between::block) __syncthreads();
  out[t] = a[t ^ flip];
}

template <Between kBetween>
std::string swap_report(int flip) {
  reset();
  return failure_of({1, 64}, swap_places<kBetween>, on_device<float>(64), flip);
}

/// A pattern of one warp: lane l takes element first + stride l.
template <class T>
__global__ void __launch_bounds__(32) copy_pattern(T* to, T const* from, int stride, int first) {
  SHARED_ARRAY(T, a, 2048);
  const int at = first + static_cast<int>(threadIdx.x) * stride;
  if constexpr (sizeof(T) == 16) {
    ptx::store16(&a[at], ptx::load16(from + at));
    __syncwarp();
    ptx::store16(to + at, ptx::load16(&a[at]));
  } else {
    a[at] = from[at];
    __syncwarp();
    to[at] = a[at];
  }
}

struct Factors {
  double shared, global;
};
template <class T>
Factors factors_of(int stride, int first = 0) {
  reset();
  T* const to = on_device<T>(2048);
  T* const from = to_device(std::vector<T>(2048));
  REQUIRE(failure_of({}, copy_pattern<T>, to, from, stride, first) == "");
  Factors f{};
  const std::vector<Traffic> all = traffic();
  REQUIRE(all.size() == 4);
  for (Traffic const& t : all) {
    INFO(t.where);
    CHECK_THAT(t.where, Contains("test_watch.cpp:"));
    CHECK(t.warps == 1);
    CHECK(t.bytes == sizeof(T));
    double& mine = t.space == Space::shared ? f.shared : f.global;
    CHECK((mine == 0 || mine == t.factor()));
    mine = t.factor();
  }
  return f;
}

/// ldmatrix from rows `pitch` elements apart.
__global__ void __launch_bounds__(32) matrix_rows(float* out, int pitch) {
  SHARED_ARRAY(uint4, tile, 1024);
  const int lane = threadIdx.x;
  std::uint32_t r[4];
  ptx::ldmatrix_x4(r, reinterpret_cast<bf16*>(tile) + lane % 16 * pitch + lane / 16 * 8);
  out[lane] = __uint_as_float(r[0]);
}

/// Lane by lane other numbers of turns.
__global__ void __launch_bounds__(32) uneven(float* to, float const* from, int n) {
  for (int j = threadIdx.x; j < n; j += 32) {
    to[j] = from[j];
  }
}

std::vector<Traffic> only(Space space, bool store) {
  std::vector<Traffic> some;
  for (Traffic const& t : traffic()) {
    if (t.space == space && t.store == store) some.push_back(t);
  }
  return some;
}

}  // namespace

TEST_CASE("watched: a missing barrier is a race under every order") {
  for (auto const& [name, policy] : all_orders()) {
    INFO(name);
    const auto check = [&, policy = policy](std::string const& text, char const* what) {
      CHECK_THAT(text, Contains("race: ") && Contains("kernels.h:") && Contains(what));
      reset(policy);
    };
    reset(policy);
    CHECK(sums_report<Mistake::none>() == "");
    CHECK(product_report<Mistake::none>() == "");
    check(sums_report<Mistake::first_barrier>(), "by another thread");
    check(sums_report<Mistake::last_barrier>(), "by another thread");
    check(product_report<Mistake::first_barrier>(), "by another thread");
    check(product_report<Mistake::last_barrier>(), "by another thread");
    check(product_report<Mistake::wait_group>(), "a cp.async to it that is under way");
  }
}

TEST_CASE("watched: what puts shared memory in order") {
  const auto races = Contains("race: a ");
  CHECK_THAT(swap_report<Between::nothing>(1), races);
  CHECK_THAT(swap_report<Between::shuffle>(1), races);
  CHECK(swap_report<Between::warp>(1) == "");
  CHECK_THAT(swap_report<Between::warp>(32), races);  // the other warp
  CHECK(swap_report<Between::block>(1) == "");
  CHECK(swap_report<Between::block>(32) == "");
  CHECK(swap_report<Between::nothing>(0) == "");  // a thread with itself
}

TEST_CASE("watched: bank conflicts are counted") {
  CHECK(factors_of<float>(1).shared == 1);
  CHECK(factors_of<float>(2).shared == 2);
  CHECK(factors_of<float>(8).shared == 8);
  CHECK(factors_of<float>(32).shared == 32);
  CHECK(factors_of<float>(33).shared == 1);
  CHECK(factors_of<float>(1, 5).shared == 1);
  CHECK(factors_of<std::uint16_t>(1).shared == 1);
  CHECK(factors_of<std::uint16_t>(4).shared == 2);
  CHECK(factors_of<double>(1).shared == 1);
  CHECK(factors_of<double>(2).shared == 2);
  CHECK(factors_of<uint4>(1).shared == 1);
  CHECK(factors_of<uint4>(2).shared == 2);
  for (const int padding : {0, 8}) {
    reset();
    REQUIRE(failure_of({}, matrix_rows, on_device<float>(32), 64 + padding) == "");
    const std::vector<Traffic> loads = only(Space::shared, false);
    REQUIRE(loads.size() == 1);
    CHECK(loads[0].factor() == (padding == 0 ? 8 : 1));
  }
}

TEST_CASE("watched: sectors of scattered accesses are counted") {
  CHECK(factors_of<float>(1).global == 1);
  CHECK(factors_of<float>(2).global == 2);
  CHECK(factors_of<float>(8).global == 8);
  CHECK(factors_of<float>(60).global == 8);       // a sector for each lane
  CHECK(factors_of<float>(1, 1).global == 1.25);  // one sector more than four
  CHECK(factors_of<float>(1, 8).global == 1);
  CHECK(factors_of<std::uint16_t>(16).global == 16);
  CHECK(factors_of<double>(3).global == 3);
  CHECK(factors_of<uint4>(1).global == 1);
  CHECK(factors_of<uint4>(2).global == 2);
}

TEST_CASE("watched: lanes that take other turns are put together by turn") {
  reset();
  constexpr int kCount = 100;
  float* const to = on_device<float>(kCount);
  float* const from = to_device(std::vector<float>(kCount));
  REQUIRE(failure_of({}, uneven, to, from, kCount) == "");
  const std::vector<Traffic> stores = only(Space::global, true);
  REQUIRE(stores.size() == 1);
  CHECK(stores[0].warps == 4);  // three whole turns, and four lanes' of a fourth
  CHECK(stores[0].needed == 13);
  CHECK(stores[0].touched == 13);
}

TEST_CASE("watched: counting begins again at reset") {
  factors_of<float>(1);
  CHECK(traffic().size() == 4);
  reset();
  CHECK(traffic().empty());
}

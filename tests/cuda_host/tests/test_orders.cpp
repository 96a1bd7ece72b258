// Clean kernels agree with a reference and have the same bits under every order; broken ones do
// not.
#include <cmath>
#include <random>

#include "kernel_test.h"
#include "kernels.h"

using namespace cuda_host;
using namespace cuda_host::test;

namespace {

std::vector<float> random_values(std::size_t n, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::uniform_int_distribution<int> values(-64, 64);  // sums of these are exact
  std::vector<float> x(n);
  for (float& v : x) v = static_cast<float>(values(random)) / 16.0f;
  return x;
}

std::vector<bf16> to_bf16(std::vector<float> const& x) {
  std::vector<bf16> y;
  for (float v : x) y.push_back(__float2bfloat16_rn(v));
  return y;
}

constexpr int kRows = 6, kThreads = 256;
constexpr int kTiles = 5, kDepth = 16 * kTiles;

template <Mistake kMistake>
std::vector<float> run_row_sums(std::vector<float> const& x) {
  float* const out = on_device<float>(kRows);
  float* const in = to_device(x);
  Shape shape;
  shape.block = dim3(kThreads);
  REQUIRE(failure_of(shape, row_sums<kMistake>, out, in, kRows) == "");
  return to_host(out, kRows);
}

template <Mistake kMistake>
std::vector<float> run_product(std::vector<float> const& a, std::vector<float> const& b) {
  float* const c = on_device<float>(64 * 8);
  bf16* const left = to_device(to_bf16(a));
  bf16* const right = to_device(to_bf16(b));
  Shape shape;
  shape.block = dim3(128);
  shape.shared = sizeof(Stages);
  REQUIRE(failure_of(shape, tile_product<kMistake>, c, left, right, kTiles) == "");
  return to_host(c, 64 * 8);
}

std::vector<float> row_sums_reference(std::vector<float> const& x) {
  std::vector<float> sums(kRows);
  for (int i = 0; i < kRows * kThreads; ++i) sums[i / kThreads] += x[i];
  return sums;
}

std::vector<float> product_reference(std::vector<float> const& a, std::vector<float> const& b) {
  std::vector<float> c(64 * 8);
  for (int m = 0; m < 64; ++m) {
    for (int n = 0; n < 8; ++n) {
      for (int k = 0; k < kDepth; ++k) c[m * 8 + n] += a[m * kDepth + k] * b[k * 8 + n];
    }
  }
  return c;
}

/// How many orders give a result unlike `want`. NaN is unlike anything.
template <class Run>
int wrong_orders(std::vector<float> const& want, Run run) {
  int wrong = 0;
  for (auto const& [name, policy] : all_orders()) {
    reset(policy);
    wrong += run() != want;
  }
  return wrong;
}

}  // namespace

TEST_CASE("clean kernels give the same bits under every order") {
  const std::vector<float> x = random_values(kRows * kThreads, 1);
  const std::vector<float> a = random_values(64 * kDepth, 2), b = random_values(kDepth * 8, 3);
  for (auto const& [name, policy] : all_orders()) {
    INFO(name);
    reset(policy);
    CHECK(run_row_sums<Mistake::none>(x) == row_sums_reference(x));
    CHECK(run_product<Mistake::none>(a, b) == product_reference(a, b));
  }
}

TEST_CASE("a missing barrier changes the result under some order") {
  const std::vector<float> x = random_values(kRows * kThreads, 1);
  const std::vector<float> a = random_values(64 * kDepth, 2), b = random_values(kDepth * 8, 3);
  const std::vector<float> sums = row_sums_reference(x), product = product_reference(a, b);
  CHECK(wrong_orders(sums, [&] { return run_row_sums<Mistake::first_barrier>(x); }) > 0);
  CHECK(wrong_orders(sums, [&] { return run_row_sums<Mistake::last_barrier>(x); }) > 0);
  CHECK(wrong_orders(product, [&] { return run_product<Mistake::first_barrier>(a, b); }) > 0);
  CHECK(wrong_orders(product, [&] { return run_product<Mistake::last_barrier>(a, b); }) > 0);
}

TEST_CASE("a wait that leaves one group too many is seen under every order of late copies") {
  const std::vector<float> a = random_values(64 * kDepth, 2), b = random_values(kDepth * 8, 3);
  const std::vector<float> product = product_reference(a, b);
  CHECK(wrong_orders(product, [&] { return run_product<Mistake::wait_group>(a, b); }) == 4);
}

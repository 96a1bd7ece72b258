#include <span>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/core/error.h"
#include "lomo/cpu/workspace.h"
#include "support/catch.h"

using namespace lomo;

TEST_CASE("the dry engine holds no values and says which op asks for them") {
  const auto dry = make_dry_backend({.threads = 1});
  CHECK_FALSE(dry->computes());
  const Buffer x = dry->allocate(Shape(3), DType::f32, Category::activations, "x");
  std::vector<float> host(3);
  dry->upload(x, std::as_bytes(std::span(host)));
  try {
    dry->download(std::as_writable_bytes(std::span(host)), x);
    FAIL("there is nothing to download");
  } catch (Error const& error) {
    CHECK(std::string(error.what()).find("download") != std::string::npos);
  }
}

TEST_CASE("the dry engine checks, counts and takes workspace like the CPU's") {
  const auto run = [](Backend& be) {
    const Buffer x = be.allocate(Shape(300, 70), DType::bf16, Category::activations, "x");
    const Buffer w = be.allocate(Shape(90, 70), DType::bf16, Category::weights, "w");
    const Buffer y = be.allocate(Shape(300, 90), DType::bf16, Category::activations, "y");
    const Buffer g = be.allocate(Shape(40, 70), DType::f32, Category::gradients, "g");
    be.zero(x);
    be.zero(w);
    be.linear(y, x, w);
    be.linear_backward_weight(g, y.tensor().col_block(10, 40), x);
    const Tensor wrong = g;
    CHECK_THROWS_AS(be.linear(y, wrong, w), Error);
  };
  for (const int threads : {1, 2, 3}) {
    const auto dry = make_dry_backend({.threads = threads});
    const auto cpu = make_cpu_backend({.threads = threads, .memory = std::size_t{1} << 28});
    run(*dry);
    run(*cpu);
    CHECK(dry->ledger().peak() == cpu->ledger().peak());
    CHECK(dry->ledger().extent() == cpu->ledger().extent());
    CHECK(dry->ledger().flops() == cpu->ledger().flops());
    CHECK(dry->ledger().peak_by_category() == cpu->ledger().peak_by_category());
  }
}

TEST_CASE("what is freed beside other work is held until the wait, where there is a side stream") {
  const Device accounting = GENERATE(Device::cpu, Device::cuda);
  const auto dry = make_dry_backend({.threads = 1, .accounting = accounting});
  const std::size_t held = accounting == Device::cuda ? 4096 : 0;
  CHECK(dry->streams() == (accounting == Device::cuda ? 2 : 1));
  const auto take_side_stream = [&] {
    return dry->on_side_stream(
        [&] { dry->allocate(Shape(1024), DType::f32, Category::workspace, "scratch"); });
  };
  const Backend::Fence first = take_side_stream(), second = take_side_stream();
  CHECK(dry->ledger().current() == 2 * held);
  dry->allocate(Shape(1024), DType::f32, Category::workspace, "free at once");
  CHECK(dry->ledger().current() == 2 * held);
  dry->wait(first);
  CHECK(dry->ledger().current() == held);
  dry->wait(first);
  dry->wait(0);
  CHECK(dry->ledger().current() == held);
  dry->synchronize();
  CHECK(dry->ledger().current() == 0);
  take_side_stream();
  dry->wait(second + 1);
  CHECK(dry->ledger().current() == 0);
}

TEST_CASE("the side stream is entered once, and waited for from outside") {
  const auto dry =
      make_dry_backend({.threads = 1, .accounting = GENERATE(Device::cpu, Device::cuda)});
  CHECK_THROWS_AS(dry->on_side_stream([&] { dry->on_side_stream([] {}); }), Error);
  CHECK_THROWS_AS(dry->wait(3), Error);
  const Backend::Fence fence = dry->on_side_stream([] {});  // an error inside has left it
  CHECK_THROWS_AS(dry->on_side_stream([&] { dry->wait(fence); }), Error);
  dry->wait(fence);
}

TEST_CASE("a dry slab can be as small as a card") {
  const auto dry = make_dry_backend({.threads = 1, .memory = 1024});
  try {
    dry->allocate(Shape(1024), DType::f32, Category::weights, "lm_head.weight");
    FAIL("4 KiB do not fit 1 KiB");
  } catch (Error const& error) {
    CHECK(error.code() == Exit::memory);
    CHECK(std::string(error.what()).find("lm_head.weight") != std::string::npos);
  }
}

// What the CUDA engine promises beside what every engine does.
#include <numeric>

#include "engines.h"
#include "lomo/core/error.h"
#include "lomo/cuda/workspace.h"
#include "support/data.h"
#include "support/errors.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("the engine names its GPU, and says that an emulated one is") {
  cuda_host::reset(cuda_host::Policy{}, 86);
  const std::string text = engine()->describe();
  CHECK(text.rfind("CUDA on emulated CUDA (tests), sm_86, 24.0 GiB, cuBLASLt ", 0) == 0);
  cuda_host::reset();
}

TEST_CASE("more memory than the GPU has is said before anything runs") {
  const std::string text =
      error_of(Exit::memory, [] { cuda::CudaBackend({.memory = std::size_t{1} << 40}); });
  CHECK(contains(text, "1048576 MiB in one piece"));
  CHECK(cuda_host::report().empty());
}

TEST_CASE("an engine without a limit takes what is free but for what libraries need") {
  const cuda::CudaBackend be(EngineOptions{});
  const std::size_t tib = std::size_t{1} << 40;
  const auto maximum = static_cast<std::int64_t>(tib);
  const std::string text = error_of(Exit::memory, [&] {
    const_cast<cuda::CudaBackend&>(be).allocate(Shape(maximum), DType::f32, Category::weights, "w");
  });
  CHECK(contains(text, "of " + std::to_string(24 * 1024 - 512) + " MiB"));
}

TEST_CASE("uploads larger than the staging memory arrive whole, in blocks of columns too") {
  const auto be = engine(GENERATE(1, 2));
  for (const Shape shape : {Shape(3, 700'001), Shape(2'000, 333), Shape(1, 5)}) {
    const auto n = static_cast<std::size_t>(shape.numel());
    std::vector<std::int32_t> numbers(n);
    std::iota(numbers.begin(), numbers.end(), 7);
    const Buffer wide = be->allocate(Shape(shape.rows(), shape.cols() + 9), DType::i32,
                                     Category::activations, "wide");
    be->zero(wide);
    const Tensor block = wide.tensor().col_block(4, shape.cols());
    be->upload(block, std::as_bytes(std::span(numbers)));
    std::vector<std::int32_t> reused = numbers;
    std::fill(numbers.begin(), numbers.end(), -1);  // the host's memory may be used again at once
    const Buffer dense = be->allocate(shape, DType::i32, Category::activations, "dense");
    be->copy(dense, block);
    CHECK(raw_values<std::int32_t>(*be, dense) == reused);
    CHECK(raw_values<std::int32_t>(*be, block) == reused);
    for (const std::int64_t on_side_stream : {0, 3}) {
      const auto left = raw_values<std::int32_t>(*be, wide.tensor().col_block(on_side_stream, 1));
      CHECK(std::count(left.begin(), left.end(), 0) == shape.rows());
    }
  }
}

TEST_CASE("products take the workspace that is declared, and give it back") {
  const auto be = engine();
  const CudaWorkspaces declared;
  const auto taken = [&](auto&& product) {
    be->ledger().restart();
    product();
    CHECK(be->ledger().current(Category::workspace) == 0);
    return be->ledger().peak_by_category()[static_cast<std::size_t>(Category::workspace)];
  };
  const Buffer x = make(*be, Shape(64, 96), DType::bf16, random_values("x", 64 * 96));
  const Buffer w = make(*be, Shape(33, 96), DType::bf16, random_values("w", 33 * 96));
  const Buffer y = make_poisoned(*be, Shape(64, 33), DType::bf16);
  const Buffer g = make_poisoned(*be, Shape(33, 96), DType::f32);
  CHECK(taken([&] { be->linear(y, x, w); }) == declared.linear(y, x));
  CHECK(taken([&] { be->linear_backward_weight(g, y, x); }) ==
        workspace::cuda::kLibraryBytes + 64 * 40 * 2);  // rows of 33 are packed into rows of 40
  CHECK(taken([&] {
          be->linear_backward_weight(g.tensor().row_block(0, 24), y.tensor().col_block(8, 24), x);
        }) == workspace::cuda::kLibraryBytes + 64 * 24 * 2);
}

TEST_CASE("heads wider than the kernels are refused with the way out") {
  const auto be = engine();
  const Buffer q = make_poisoned(*be, Shape(2, 512), DType::f32);
  const Buffer lse = make_poisoned(*be, Shape(2, 1), DType::f32);
  const Buffer out = make_poisoned(*be, Shape(2, 512), DType::f32);
  const Buffer starts = make_index(*be, {0, 2}), positions = make_index(*be, {0, 1});
  const Sequences rows{starts, positions, 2};
  const std::string text = error_of(Exit::failure, [&] {
    be->attention(out, lse, q, q, q, rows, rows, {1, 1, 512, 1.0f});
  });
  CHECK(contains(text, "512"));
  CHECK(contains(text, "--device cpu"));
}

TEST_CASE("what fails on the device is reported where the host waits for it") {
#ifdef __SANITIZE_ADDRESS__
  LOMO_SKIP("the address sanitizer ends the program at such an access, and says more");
#endif
  const auto be = engine(2);
  const Buffer index = make_index(*be, {1 << 30});  // no such row
  const Buffer x = make_poisoned(*be, Shape(2, 8), DType::f32);
  const Buffer y = make_poisoned(*be, Shape(1, 8), DType::f32);
  const std::string text = error_of(Exit::failure, [&] {
    be->gather_rows(y, x, index);
    values(*be, y);
  });
  CHECK(contains(text, "CUDA: cuda"));
  cuda_host::reset();
}

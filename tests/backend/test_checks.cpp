#include <string>
#include <vector>

#include "lomo/core/error.h"
#include "recording_backend.h"
#include "support/catch.h"

using namespace lomo;
using lomo::test::RecordingBackend;
using Names = std::vector<std::string>;

namespace {

constexpr DType kF = DType::f32;
constexpr DType kB = DType::bf16;
constexpr DType kI = DType::i32;
constexpr DType kD = DType::f64;

Tensor t(Shape shape, DType type = kF) {
  return RecordingBackend::tensor(shape, type);
}

/// The message of the Error that f throws; "" when it throws none.
template <class F>
std::string message(F&& f) {
  try {
    f();
  } catch (Error const& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("a wrong shape is refused with the op, the names and both shapes") {
  RecordingBackend b;
  CHECK(message([&] {
          b.linear(t({128, 32}), t({128, 64}), t({32, 256}));
        }) == "linear: x (128, 64) does not match w (32, 256)");
  CHECK(message([&] {
          b.linear(t({127, 32}), t({128, 64}), t({32, 64}));
        }) == "linear: y (127, 32) does not match x (128, 64)");
  CHECK(message([&] {
          b.linear(t({128, 32}), t({128, 64}), t({32, 64}), t({128, 31}));
        }) == "linear: residual (128, 31) does not match y (128, 32)");
  CHECK(message([&] {
          b.linear_backward_input(t({4, 8}), t({4, 6}), t({5, 8}));
        }) == "linear_backward_input: dy (4, 6) does not match w (5, 8)");
  CHECK(message([&] {
          b.linear_backward_weight(t({6, 8}), t({4, 6}), t({3, 8}));
        }) == "linear_backward_weight: dy (4, 6) does not match x (3, 8)");
  CHECK(message([&] {
          b.linear_backward_weights(t({5, 8}), t({4, 12}), t({4, 8}), {2, 10});
        }) == "linear_backward_weights: g (5, 8) is not 2 blocks of rows");
  CHECK(message([&] {
          b.linear_backward_weights(t({6, 8}), t({4, 12}), t({4, 8}), {2, 10});
        }) == "linear_backward_weights: dy (4, 12) is not 2 blocks of 3 columns, 10 apart");
  CHECK(message([&] {
          b.linear_backward_weights(t({6, 8}), t({4, 5}), t({4, 8}), {2, 2});
        }) == "linear_backward_weights: dy (4, 5) is not 2 blocks of 3 columns, 2 apart");
  CHECK(message([&] {
          b.gather_rows(t({3, 8}), t({9, 7}), t(3, kI));
        }) == "gather_rows: y (3, 8) does not match x (9, 7)");
  CHECK(message([&] {
          b.sum_rows(t({3, 8}), t({9, 8}), t(9, kI), t(3, kI));
        }) == "sum_rows: segments (3) does not match out (3, 8)");
  CHECK(message([&] {
          b.rmsnorm(t({3, 8}), t(3), t({3, 8}), t(7), 1e-5f);
        }) == "rmsnorm: w (7) does not match x (3, 8)");
  CHECK(message([&] {
          b.rope(t({3, 12}), t(3, kI), t(4), Rotation::forward);
        }) == "rope: x (3, 12) does not match inv_freq (4)");
  CHECK(message([&] {
          b.swiglu(t({3, 8}), t({3, 8}));
        }) == "swiglu: act (3, 8) does not match gate_up (3, 8)");
  CHECK(message([&] {
          b.cross_entropy_block(t({3, 3}), t({4, 9}), t(3, kI), 0);
        }) == "cross_entropy_block: z (4, 9) does not match running (3, 3)");
  CHECK(message([&] {
          b.cross_entropy_begin(t({3, 2}));
        }) == "cross_entropy_begin: running (3, 2) must have 3 columns: max, sum, target");
  CHECK(message([&] {
          b.sgd_update(t({3, 8}), t({4, 8}), {}, {});
        }) == "sgd_update: w (3, 8) does not match g (4, 8)");
  CHECK(message([&] {
          b.sgd_update(t({9, 8}), t({3, 8}, kB), {}, {}, {}, t(3, kI));
        }) == "sgd_update: g (3, 8) is bf16, it must be f32");
  CHECK(message([&] {
          b.sgd_update(t({3, 8}), t({2, 8}), {}, {}, {}, t(3, kI));
        }) == "sgd_update: rows (3) does not match g (2, 8)");
  CHECK(message([&] {
          b.square_sums(t(3), t(7), t({3, 8}), {});
        }) == "square_sums: col (7) does not match g (3, 8)");
  CHECK(b.called.empty());
}

TEST_CASE("a wrong type, rank or device is refused by name") {
  RecordingBackend b;
  CHECK(message([&] {
          b.linear(t({2, 3}), t({2, 4}), t({3, 4}, kB));
        }) == "linear: w (3, 4) is bf16 but x (2, 4) is f32");
  CHECK(message([&] {
          b.linear(t({2, 3}, kB), t({2, 4}), t({3, 4}));
        }) == "linear: y (2, 3) is bf16 but x (2, 4) is f32");
  CHECK(message([&] {
          b.linear(t({2, 3}), t({2, 4}, kI), t({3, 4}));
        }) == "linear: x (2, 4) is i32, it must be f32 or bf16 or f16");
  CHECK(message([&] { b.linear(t({2, 3}), t(4), t({3, 4})); }) == "linear: x (4) must be a matrix");
  CHECK(message([&] {
          b.linear_backward_weight(t({3, 4}, kB), t({2, 3}, kB), t({2, 4}, kB));
        }) == "linear_backward_weight: g (3, 4) is bf16, it must be f32");
  CHECK(message([&] {
          b.linear_backward_weights(t({3, 4}, kB), t({2, 3}), t({2, 4}), {1, 0});
        }) == "linear_backward_weights: g (3, 4) is bf16 but x (2, 4) is f32");
  CHECK(message([&] {
          b.accumulate_squared_norm(t(2), t({2, 3}), 1);
        }) == "accumulate_squared_norm: stats (2) is f32, it must be f64");
  CHECK(message([&] {
          b.accumulate_squared_norm(t(3, kD), t({2, 3}), 1);
        }) == "accumulate_squared_norm: stats (3) must have 2 elements");
  CHECK(message([&] {
          b.sgd_update(t({2, 3}), t({2, 3}), {}, {}, t(1, kD));
        }) == "sgd_update: found_inf (1) must have 2 elements");
  Backend::AdamStep zeroth;
  zeroth.t = 0;
  CHECK(message([&] { b.adamw_update(t(3), t(3), t(3), t(3), zeroth, {}); }) ==
        "adamw_update: t is 0, it is 1 on the first update");
  const Tensor elsewhere(nullptr, Shape(2, 4), kF, Device::cpu);
  CHECK(message([&] {
          b.linear(t({2, 3}), elsewhere, t({3, 4}));
        }) == "linear: x (2, 4) is on device cpu, the engine computes on dry");
  CHECK(message([&] { b.copy(t(3, kI), t(3)); }) == "copy: dst (3) is i32 but src (3) is f32");
  std::vector<std::byte> host(11);
  CHECK(message([&] { b.upload(t(3), host); }) ==
        "upload: 11 bytes of host memory do not match dst (3) of 12 bytes");
  CHECK(b.called.empty());
}

TEST_CASE("attention's heads and rows are checked") {
  RecordingBackend b;
  const Sequences rows{t(3, kI), t(10, kI), 6};
  const Heads heads{4, 2, 8, 1};
  const auto run = [&](Heads const& h, Tensor q, Tensor k, Sequences const& r) {
    return message([&] { b.attention(q, t({10, 4}), q, k, k, r, r, h); });
  };
  CHECK(run(heads, t({10, 32}), t({10, 16}), rows).empty());
  CHECK(run(heads, t({10, 30}), t({10, 16}), rows) ==
        "attention: q (10, 30) does not match 4 heads of width 8");
  CHECK(run(heads, t({10, 32}), t({10, 32}), rows) ==
        "attention: k (10, 32) does not match 2 heads of width 8");
  CHECK(run({4, 3, 8, 1}, t({10, 32}), t({10, 24}), rows) ==
        "attention: 4 query heads over 3 key/value heads of width 8: the first must be a multiple "
        "of the second and the width even");
  CHECK(run(heads, t({10, 32}), t({10, 16}), {t(3, kI), t(9, kI), 6}) ==
        "attention: q_rows.positions (9) does not match q (10, 32)");
  CHECK(run(heads, t({10, 32}), t({10, 16}), {t(3, kI), t(10, kI), 11}) ==
        "attention: q_rows.longest is 11, not a number of rows of q (10, 32)");
}

TEST_CASE("nothing to do is not passed on, but outputs are still defined") {
  RecordingBackend b;
  const auto calls = [&](auto&& f) {
    b.called.clear();
    f();
    return b.called;
  };
  CHECK(calls([&] { b.linear(t({0, 3}), t({0, 4}), t({3, 4})); }).empty());
  CHECK(calls([&] { b.linear(t({2, 3}), t({2, 0}), t({3, 0})); }) == Names{"zero"});
  CHECK(calls([&] { b.linear_backward_input(t({2, 4}), t({2, 0}), t({0, 4})); }) == Names{"zero"});
  CHECK(calls([&] { b.linear_backward_input(t({2, 4}), t({2, 0}), t({0, 4}), true); }).empty());
  CHECK(calls([&] {
          b.linear_backward_weights(t({4, 3}), t({0, 9}), t({0, 3}), {2, 7});
        }) == Names{"zero"});
  CHECK(calls([&] { b.linear_backward_weights(t({0, 3}), t({2, 7}), t({2, 3}), {2, 7}); }).empty());
  CHECK(calls([&] { b.linear_backward_weight(t({3, 4}), t({0, 3}), t({0, 4})); }) == Names{"zero"});
  CHECK(calls([&] { b.linear_backward_weight(t({3, 4}), t({0, 3}), t({0, 4}), true); }).empty());
  CHECK(calls([&] { b.gather_rows(t({0, 3}), t({5, 3}), t(0, kI)); }).empty());
  CHECK(calls([&] { b.scatter_rows(t({5, 3}), t({0, 3}), t(0, kI)); }).empty());
  CHECK(calls([&] { b.sum_rows(t({0, 3}), t({0, 3}), t(0, kI), t(1, kI)); }).empty());
  CHECK(calls([&] { b.sum_rows(t({2, 3}), t({0, 3}), t(0, kI), t(3, kI)); }) == Names{"sum_rows"});
  CHECK(calls([&] {
          b.rmsnorm_backward(t({0, 4}), t(4), t({0, 4}), t({0, 4}), t(4), t(0));
        }) == Names{"zero"});
  CHECK(calls([&] { b.swiglu(t({0, 4}), t({0, 8})); }).empty());
  CHECK(calls([&] { b.cross_entropy_begin(t({0, 3})); }).empty());
  CHECK(calls([&] {
          b.cross_entropy_backward(t({0, 5}), t({0, 5}), t(0), t(0, kI), 0, 1);
        }).empty());
  CHECK(calls([&] { b.sum_partials(t({0, 5}), t({0, 5})); }).empty());
  CHECK(calls([&] { b.cross_entropy_merge(t({0, 3}), t({0, 3})); }).empty());
  CHECK(calls([&] { b.accumulate_squared_norm(t(2, kD), t({0, 5}), 1); }).empty());
  CHECK(calls([&] { b.inner_product(t(2, kD), t({0, 5}), t({0, 5}), 1); }).empty());
  CHECK(calls([&] { b.sgd_update(t({9, 5}), t({0, 5}), {}, {}, {}, t(0, kI)); }).empty());
  CHECK(calls([&] { b.square_sums(t(0), t(5), t({0, 5}), {}); }) == Names{"zero"});
  const Sequences none{t(1, kI), t(0, kI), 0};
  const Sequences some{t(1, kI), t(6, kI), 6};
  const Heads heads{2, 1, 4, 1};
  CHECK(calls([&] {
          b.attention(t({0, 8}), t({0, 2}), t({0, 8}), t({6, 4}), t({6, 4}), none, some, heads);
        }).empty());
  CHECK(calls([&] {
          b.attention_backward(t({0, 8}), t({6, 4}), t({6, 4}), t({0, 8}), t({0, 8}), t({0, 2}),
                               t({0, 8}), t({6, 4}), t({6, 4}), none, some, heads);
        }) == Names{"zero", "zero"});
}

TEST_CASE("a vector counts as a matrix of one row") {
  RecordingBackend b;
  b.sgd_update(t(5), t({1, 5}), {}, {});
  b.adamw_update(t(5), t({1, 5}), t(5), t({1, 5}), {}, {});
  b.square_sums(t(1), t(5), t(5), {});
  CHECK(b.called == Names{"sgd_update", "adamw_update", "square_sums"});
}

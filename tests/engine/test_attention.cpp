// Attention and its backward on the engine against the double reference.
#include <algorithm>
#include <numeric>

#include "reference/ops.h"
#include "support/attention_cases.h"
#include "support/catch.h"
#include "support/close.h"
#include "support/tensors.h"

using namespace lomo;
using namespace lomo::test;
using namespace lomo::test::attention;
namespace ref = lomo::reference;

namespace {

std::vector<Case> cases() {
  const ref::Rows short_ones = many_short();
  const ref::Rows long_and_short = ragged({3, 300, 1, 20, 129});
  const ref::Rows queries = some_queries(), keys = key_stride();
  return {{"one token", ragged({1}), ragged({1}), 1, 1, 2},
          {"many short, odd pairs", short_ones, short_ones, 3, 3, 6},
          {"many short, grouped", short_ones, short_ones, 6, 2, 80},
          {"long and short", long_and_short, long_and_short, 4, 1, 128},
          {"long and short, narrow", long_and_short, long_and_short, 2, 2, 8},
          {"queries apart from keys", queries, keys, 4, 2, 10},
          {"a window of one", short_ones, short_ones, 2, 1, 8, 1},
          {"a window of 5", long_and_short, long_and_short, 4, 2, 10, 5},
          {"a window of 64", long_and_short, long_and_short, 2, 1, 16, 64},
          {"a window of 200", long_and_short, long_and_short, 2, 2, 6, 200},
          {"a window no text fills", long_and_short, long_and_short, 2, 2, 6, 300},
          {"queries apart from keys, a window of 7", queries, keys, 4, 2, 10, 7}};
}

/// What the engine makes of a case; q, k and v lie side by side in one matrix when they have the
/// same rows, and so do their gradients.
struct Results {
  std::vector<double> out, lse, dq, dk, dv;
};
Results run(Backend& be, Case const& c, DType type, Inputs const& in) {
  const auto nq = static_cast<std::int64_t>(c.q.positions.size());
  const auto nk = static_cast<std::int64_t>(c.k.positions.size());
  const std::int64_t hd = c.heads * c.width, gd = c.kv_heads * c.width;
  const std::int64_t pitch = hd + 2 * gd + 1, rows = std::max(nq, nk);
  const Buffer qkv = make_poisoned(be, {rows, pitch}, type);
  const Buffer grads = make_poisoned(be, {rows, pitch}, type);
  const auto part = [&](Buffer const& b, std::int64_t n, std::int64_t first, std::int64_t count) {
    return b.tensor().col_block(first, count).row_block(0, n);
  };
  const Tensor q = part(qkv, nq, 0, hd), k = part(qkv, nk, hd, gd), v = part(qkv, nk, hd + gd, gd);
  const Tensor dq = part(grads, nq, 0, hd), dk = part(grads, nk, hd, gd),
               dv = part(grads, nk, hd + gd, gd);
  be.copy(q, make(be, {nq, hd}, type, in.q));
  be.copy(k, make(be, {nk, gd}, type, in.k));
  be.copy(v, make(be, {nk, gd}, type, in.v));
  const Buffer dout = make(be, {nq, hd}, type, in.dout);
  const Buffer out = make_poisoned(be, {nq, hd}, type);
  const Buffer lse = make_poisoned(be, {nq, c.heads}, DType::f32);
  const Buffer qs = make_index(be, c.q.starts), qp = make_index(be, c.q.positions);
  const Buffer ks = make_index(be, c.k.starts), kp = make_index(be, c.k.positions);
  const Sequences q_rows{qs, qp, nq}, k_rows{ks, kp, nk};
  const Heads heads{c.heads, c.kv_heads, c.width, 1 / std::sqrt(static_cast<float>(c.width)),
                    c.window};
  be.attention(out, lse, q, k, v, q_rows, k_rows, heads);
  be.attention_backward(dq, dk, dv, dout, out, lse, q, k, v, q_rows, k_rows, heads);
  return {values(be, out), values(be, lse), values(be, dq), values(be, dk), values(be, dv)};
}

double max_of(std::vector<double> const& x) {
  double maximum = 0;
  for (const double v : x) maximum = std::fmax(maximum, std::fabs(v));
  return maximum;
}

}  // namespace

TEST_CASE("attention and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const float scale = GENERATE(1.0f, 4.0f);  // 4: a softmax that is nearly one-hot
  const auto be = make_cpu_backend({.threads = 2, .memory = 256u << 20});
  for (Case const& c : cases()) {
    INFO(c.name << " " << to_string(type) << " inputs up to " << scale);
    const Inputs in = inputs_of(c, type, scale);
    const Results got = run(*be, c, type, in);
    const ref::HeadShape hs{c.heads, c.kv_heads, c.width,
                            1 / std::sqrt(static_cast<double>(c.width)), c.window};
    const auto q = doubles(in.q), k = doubles(in.k), v = doubles(in.v), dout = doubles(in.dout);
    const auto forward = ref::attention(q, k, v, c.q, c.k, hs);
    const auto back = ref::attention_backward(dout, q, k, v, c.q, c.k, hs);

    // A score sums D products of at most scale^2, times 1 / sqrt(D); a probability adds the error
    // of exp, so that P is relatively wrong by at most `p`; sums over up to `keys` rows follow.
    const double u = unit_roundoff(type);
    const auto d = static_cast<double>(c.width);
    const auto keys = static_cast<std::int64_t>(c.k.positions.size());
    const auto queries = static_cast<std::int64_t>(c.q.positions.size());
    const double score = std::sqrt(d) * scale * scale;
    const double kExp = 3e-7;
    const double p = (gamma_f32(c.width + 3) + 4 * gamma_f32(1)) * score + kExp;
    const double out = 2 * p + gamma_f32(keys + 4);  // |v| <= 1, probabilities sum to 1
    check_close("out", got.out, forward.out, out, u);
    check_close("lse", got.lse, forward.lse, p + gamma_f32(keys + 4), 2 * gamma_f32(1));
    // dP and delta are at most D; delta reads `out` as it was stored; |dS| <= 2 P D.
    const double ds = 2 * d * (2 * p + 2 * gamma_f32(c.width + 4)) + d * (out + u);
    check_close("dq", got.dq, back.dq, scale / std::sqrt(d) * (ds + 2 * d * gamma_f32(keys + 4)),
                u);
    // dk and dv sum over the queries of a group; with dout = 1, dv is the sum of probabilities.
    const std::int64_t terms = queries * c.heads / c.kv_heads + 4;
    const std::vector<double> ones(dout.size(), 1.0);
    const double column = max_of(ref::attention_backward(ones, q, k, v, c.q, c.k, hs).dv);
    check_close("dk", got.dk, back.dk,
                column * scale / std::sqrt(d) * (ds + 2 * d * gamma_f32(terms)), u);
    check_close("dv", got.dv, back.dv, column * (2 * p + gamma_f32(terms)), u);
  }
}

TEST_CASE("attention: threads and the order of the sequences do not change a bit") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const std::vector<std::int32_t> lengths{3, 300, 1, 20, 129};
  const ref::Rows rows = ragged(lengths);
  const Case c{"ragged", rows, rows, 4, 2, 10};
  const Inputs in = inputs_of(c, type, 2);
  const auto one = make_cpu_backend({.threads = 1, .memory = 64u << 20});
  const auto two = make_cpu_backend({.threads = 2, .memory = 64u << 20});
  const Results a = run(*one, c, type, in), b = run(*two, c, type, in);
  CHECK(a.out == b.out);
  CHECK(a.lse == b.lse);
  CHECK(a.dq == b.dq);
  CHECK(a.dk == b.dk);
  CHECK(a.dv == b.dv);

  const std::vector<std::size_t> order{4, 2, 0, 3, 1};
  std::vector<std::int32_t> other_lengths;
  for (const std::size_t s : order) other_lengths.push_back(lengths[s]);
  const ref::Rows other = ragged(other_lengths);
  const auto permuted = [&]<class V>(std::vector<V> const& x, std::int64_t cols) {
    std::vector<V> y;
    for (const std::size_t s : order) {
      y.insert(y.end(), x.begin() + rows.starts[s] * cols, x.begin() + rows.starts[s + 1] * cols);
    }
    return y;
  };
  const std::int64_t hd = c.heads * c.width, gd = c.kv_heads * c.width;
  const Results moved =
      run(*two, {"permuted", other, other, 4, 2, 10}, type,
          {permuted(in.q, hd), permuted(in.k, gd), permuted(in.v, gd), permuted(in.dout, hd)});
  CHECK(moved.out == permuted(a.out, hd));
  CHECK(moved.lse == permuted(a.lse, c.heads));
  CHECK(moved.dq == permuted(a.dq, hd));
  CHECK(moved.dk == permuted(a.dk, gd));
  CHECK(moved.dv == permuted(a.dv, gd));
}

TEST_CASE("attention of no rows is legal, and keys that nobody sees get zero gradients") {
  const auto be = make_cpu_backend({.threads = 2, .memory = 16u << 20});
  const ref::Rows none{{0, 0}, {}};
  const Results empty = run(*be, {"empty", none, none, 2, 1, 4}, DType::f32, {});
  CHECK(empty.out.empty());
  const ref::Rows keys{{0, 3}, {0, 1, 2}};
  const Case c{"no queries", none, keys, 2, 1, 4};
  const Results unseen = run(*be, c, DType::f32, inputs_of(c, DType::f32, 1));
  CHECK(unseen.dk == std::vector<double>(12, 0.0));
  CHECK(unseen.dv == std::vector<double>(12, 0.0));
}

TEST_CASE("attention passes NaN on to the rows that see it and to no other") {
  const auto be = make_cpu_backend({.threads = 2, .memory = 16u << 20});
  const ref::Rows rows = ragged({5, 70});
  const Case c{"nan", rows, rows, 1, 1, 4};
  Inputs in = inputs_of(c, DType::f32, 1);
  in.k[(5 + 66) * 4] = std::numeric_limits<float>::quiet_NaN();
  const Results got = run(*be, c, DType::f32, in);
  for (std::size_t row = 0; row < 75; ++row) {
    INFO("row " << row);
    CHECK(std::isnan(got.out[row * 4]) == (row >= 5 + 66));
    CHECK(std::isnan(got.lse[row]) == (row >= 5 + 66));
  }
}

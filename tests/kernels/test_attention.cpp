// Attention kernels against the double reference.
#include "device.h"
#include "kernels/attention.h"
#include "reference/ops.h"
#include "support/attention_cases.h"
#include "support/close.h"

using namespace lomo;
using namespace lomo::test;
using namespace lomo::test::attention;
namespace ref = lomo::reference;

namespace {

std::int64_t longest(ref::Rows const& rows) {
  std::int64_t maximum = 0;
  for (std::size_t s = 0; s + 1 < rows.starts.size(); ++s) {
    maximum = std::max<std::int64_t>(maximum, rows.starts[s + 1] - rows.starts[s]);
  }
  return maximum;
}

std::vector<Case> cases() {
  const ref::Rows short_ones = many_short();
  const ref::Rows long_and_short = ragged({3, 150, 129});
  const ref::Rows queries = some_queries(), keys = key_stride();
  // Those of widths without tiles run in the simple variant, which is slow on the host.
  return {{"one token", ragged({1}), ragged({1}), 1, 1, 2},
          {"many short, odd pairs", short_ones, short_ones, 3, 3, 6},
          {"wide", ragged({9}), ragged({9}), 2, 1, 256},
          {"queries apart from keys, 10", queries, keys, 4, 2, 10},
          {"short, 64", ragged({3, 0, 17}), ragged({3, 0, 17}), 4, 2, 64},
          {"many short, grouped, 64", short_ones, short_ones, 6, 2, 64},
          {"many short, 128", short_ones, short_ones, 2, 2, 128},
          {"long and short, grouped, 64", long_and_short, long_and_short, 2, 1, 64},
          {"long and short, grouped, 128", long_and_short, long_and_short, 2, 1, 128},
          {"queries apart from keys, 80", queries, keys, 2, 1, 80},
          {"queries apart from keys, 64", queries, keys, 4, 2, 64},
          {"queries apart from keys, 128", queries, keys, 2, 1, 128},
          {"a window of 5, 10", ragged({30}), ragged({30}), 2, 1, 10, 5},
          {"a window of one, 64", short_ones, short_ones, 2, 1, 64, 1},
          {"a window of 70, 64", long_and_short, long_and_short, 2, 1, 64, 70},
          {"a window of 33, 128", long_and_short, long_and_short, 2, 1, 128, 33},
          {"a window of 33, 96", ragged({3, 70, 20}), ragged({3, 70, 20}), 2, 1, 96, 33},
          {"queries apart from keys, a window of 7, 64", queries, keys, 4, 2, 64, 7}};
}

/// out, lse, dq, dk, dv.
Results run(Case const& c, DType type, Inputs const& in, kernels::Variant variant,
            std::int64_t gap) {
  const auto nq = static_cast<std::int64_t>(c.q.positions.size());
  const auto nk = static_cast<std::int64_t>(c.k.positions.size());
  const std::int64_t hd = c.heads * c.width, gd = c.kv_heads * c.width;
  const DeviceMatrix q(type, nq, hd, in.q, gap), k(type, nk, gd, in.k, gap);
  const DeviceMatrix v(type, nk, gd, in.v, gap), dout(type, nq, hd, in.dout);
  const DeviceMatrix out(type, nq, hd), lse(DType::f32, nq, c.heads);
  const DeviceMatrix dq(type, nq, hd, gap), dk(type, nk, gd, gap), dv(type, nk, gd, gap);
  const DeviceVector<std::int32_t> qs(c.q.starts), qp(c.q.positions);
  const DeviceVector<std::int32_t> ks(c.k.starts), kp(c.k.positions);
  const kernels::AttentionRows q_rows{qs, qp, nq, longest(c.q)}, k_rows{ks, kp, nk, longest(c.k)};
  const kernels::AttentionShape shape{
      static_cast<std::int64_t>(c.q.starts.size()) - 1,
      c.heads,
      c.kv_heads,
      c.width,
      1 / std::sqrt(static_cast<float>(c.width)),
      c.window > 0 ? static_cast<std::int32_t>(c.window) : kernels::kNoWindow};
  const kernels::Storage s = storage_of(type);
  require(kernels::attention(s, out, lse, q, k, v, q_rows, k_rows, shape, nullptr, variant));
  const auto space = scratch(kernels::attention_backward_workspace(nq, c.heads));
  require(kernels::attention_backward(s, dq, dk, dv, dout, out, lse, q, k, v, q_rows, k_rows, shape,
                                      space, nullptr, variant));
  return {out.get(), lse.get(), dq.get(), dk.get(), dv.get()};
}

double max_of(std::vector<double> const& x) {
  double maximum = 0;
  for (const double v : x) maximum = std::fmax(maximum, std::fabs(v));
  return maximum;
}

}  // namespace

TEST_CASE("kernels: attention and its backward agree with the reference") {
  const DType type = GENERATE(DType::f32, DType::bf16, DType::f16);
  const float scale = GENERATE(1.0f, 4.0f);  // 4: a softmax that is nearly one-hot
  const kernels::Variant variant = GENERATE(kernels::Variant::tuned, kernels::Variant::simple);
  const std::int64_t gap = GENERATE(0, 8, 1);
  for (Case const& c : cases()) {
    const bool tiled = type != DType::f32 && variant == kernels::Variant::tuned && gap != 1 &&
                       kernels::attention_has_tiles(c.width, 2);
    const auto rows = static_cast<std::int64_t>(c.q.positions.size());
    if (!tiled && (gap == 8 || (c.width >= 64 && rows > 20))) continue;
    INFO(c.name << " " << to_string(type) << " inputs up to " << scale << " gap " << gap
                << (tiled ? " tiled" : " simple"));
    const Inputs in = inputs_of(c, type, scale);
    const Results got = in_all_orders([&] { return run(c, type, in, variant, gap); });
    const ref::HeadShape hs{c.heads, c.kv_heads, c.width,
                            1 / std::sqrt(static_cast<double>(c.width)), c.window};
    const auto q = doubles(in.q), k = doubles(in.k), v = doubles(in.v), dout = doubles(in.dout);
    const auto forward = ref::attention(q, k, v, c.q, c.k, hs);
    const auto back = ref::attention_backward(dout, q, k, v, c.q, c.k, hs);

    // A score sums D products of at most scale^2, times 1 / sqrt(D); a probability adds the error
    // of exp, so that P is relatively wrong by at most `p`; sums over up to `keys` rows follow. The
    // tiled kernels round P and dS to the storage type before they multiply by them.
    const double u = unit_roundoff(type), rounding = tiled ? u : 0;
    const double tiny = type == DType::f16 ? 0x1p-24 : 0;  // quantum of its subnormals
    const auto d = static_cast<double>(c.width);
    const auto keys = static_cast<std::int64_t>(c.k.positions.size());
    const auto queries = static_cast<std::int64_t>(c.q.positions.size());
    const double score = std::sqrt(d) * scale * scale;
    const double kExp = 3e-7;
    const double p = (gamma_f32(c.width + 3) + 4 * gamma_f32(1)) * score + kExp;
    const double all = static_cast<double>(keys) * tiny;              // P rounded to nothing
    const double out = 2 * p + gamma_f32(keys + 4) + rounding + all;  // |v| <= 1, P sums to 1
    check_close("out", got[0], forward.out, out + tiny, u);
    check_close("lse", got[1], forward.lse, p + gamma_f32(keys + 4), 2 * gamma_f32(1));
    // dP and delta are at most D; delta reads `out` as it was stored; |dS| <= 2 P D.
    const double ds = 2 * d * (2 * p + 2 * gamma_f32(c.width + 4) + rounding) + d * (out + u);
    check_close("dq", got[2], back.dq,
                scale / std::sqrt(d) * (ds + 2 * d * gamma_f32(keys + 4) + all) + tiny, u);
    // dk and dv sum over the queries of a group; with dout = 1, dv is the sum of probabilities.
    const std::int64_t terms = queries * c.heads / c.kv_heads + 4;
    const double lost = static_cast<double>(terms) * tiny;
    const std::vector<double> ones(dout.size(), 1.0);
    const double column = max_of(ref::attention_backward(ones, q, k, v, c.q, c.k, hs).dv);
    check_close("dk", got[3], back.dk,
                scale / std::sqrt(d) * (column * (ds + 2 * d * gamma_f32(terms)) + lost) + tiny, u);
    check_close("dv", got[4], back.dv, column * (2 * p + gamma_f32(terms) + rounding) + lost + tiny,
                u);
  }
}

TEST_CASE("kernels: tiled attention has the same bits under every order of threads and copies") {
  const std::int64_t width = GENERATE(64, 96);
  const ref::Rows rows = ragged({3, 150, 20});
  const Case c{"ragged", rows, rows, 2, 1, width};
  const Inputs in = inputs_of(c, DType::bf16, 2);
  in_all_orders([&] { return run(c, DType::bf16, in, kernels::Variant::tuned, 0); },
                cuda_host::all_orders());
}

TEST_CASE("kernels: attention does not depend on the order of the sequences") {
  const std::int64_t width = GENERATE(10, 64, 128);
  const std::vector<std::int32_t> lengths{3, 150, 1, 20, 129};
  const ref::Rows rows = ragged(lengths);
  const Case c{"ragged", rows, rows, 2, 1, width};
  const Inputs in = inputs_of(c, DType::bf16, 2);
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
  cuda_host::reset();
  const Results a = run(c, DType::bf16, in, kernels::Variant::tuned, 0);
  const Results b =
      run({"permuted", other, other, 2, 1, width}, DType::bf16,
          {permuted(in.q, hd), permuted(in.k, gd), permuted(in.v, gd), permuted(in.dout, hd)},
          kernels::Variant::tuned, 0);
  CHECK(b[0] == permuted(a[0], hd));
  CHECK(b[1] == permuted(a[1], c.heads));
  CHECK(b[2] == permuted(a[2], hd));
  CHECK(b[3] == permuted(a[3], gd));
  CHECK(b[4] == permuted(a[4], gd));
}

TEST_CASE("kernels: attention passes a NaN key on to the queries that see it and to no other") {
  const std::int64_t width = GENERATE(4, 64, 128);
  const ref::Rows rows = ragged({5, 70});
  const Case c{"nan", rows, rows, 1, 1, width};
  Inputs in = inputs_of(c, DType::bf16, 1);
  in.k[static_cast<std::size_t>((5 + 66) * width)] = std::numeric_limits<float>::quiet_NaN();
  cuda_host::reset();
  const Results got = run(c, DType::bf16, in, kernels::Variant::tuned, 0);
  for (std::size_t row = 0; row < 75; ++row) {
    INFO("row " << row);
    CHECK(std::isnan(got[0][row * static_cast<std::size_t>(width)]) == (row >= 5 + 66));
    CHECK(std::isnan(got[1][row]) == (row >= 5 + 66));
  }
}

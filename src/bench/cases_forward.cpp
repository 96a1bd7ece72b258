// Memory, linear layers, rows, block, head, and partial sums of ranks.
#include <algorithm>
#include <cmath>
#include <vector>

#include "cases.h"

namespace lomo::bench {
namespace {

Shape queries(Extents const& e) {
  return Shape(e.tokens, e.model.heads * e.model.head_width);
}
Shape keys(Extents const& e) {
  return Shape(e.tokens, e.model.kv_heads * e.model.head_width);
}

/// Sequences of e.sequence tokens, the last one shorter.
Sequences sequences(Operands& o, Extents const& e) {
  const std::int64_t count = (e.tokens + e.sequence - 1) / e.sequence;
  Sequences s;
  s.starts = o.integers(count + 1, [&](std::int64_t i) {
    return i * e.sequence < e.tokens ? i * e.sequence : e.tokens;
  });
  s.positions = o.integers(e.tokens, [&](std::int64_t i) { return i % e.sequence; });
  s.longest = e.sequence < e.tokens ? e.sequence : e.tokens;
  return s;
}

Heads heads(Extents const& e) {
  return {e.model.heads, e.model.kv_heads, e.model.head_width,
          1 / std::sqrt(static_cast<float>(e.model.head_width))};
}

std::string shape_text(std::int64_t rows, std::int64_t in, std::int64_t out) {
  return std::to_string(rows) + " x " + std::to_string(in) + " to " + std::to_string(out);
}

struct Layer {
  char const* name;
  std::int64_t rows, in, out;
  bool head;
};

std::vector<Layer> layers(Extents const& e) {
  const std::int64_t c = e.model.width, d = e.model.head_width;
  return {{"q, k, v", e.tokens, c, (e.model.heads + 2 * e.model.kv_heads) * d, false},
          {"attention out", e.tokens, e.model.heads * d, c, false},
          {"gate, up", e.tokens, c, 2 * e.model.ffn, false},
          {"down", e.tokens, e.model.ffn, c, false},
          {"block of the head", e.targets, c, e.head_block, true}};
}

}  // namespace

void add_memory_cases(std::vector<Recipe>& all, Extents const& e) {
  const Shape shape(e.tokens, e.model.width);
  for (const bool up : {true, false}) {
    all.push_back({up ? "upload" : "download", up ? "from the host" : "to the host",
                   [=](Backend& b, Operands& o) -> std::function<void()> {
                     const Tensor x = o.zeros(shape, e.type);
                     const auto host = o.host_bytes(x.bytes());
                     if (up) return [=, &b] { b.upload(x, host); };
                     return [=, &b] { b.download(host, x); };
                   }});
  }
  all.push_back({"copy", "f32 to the run's type", [=](Backend& b, Operands& o) {
                   const Tensor from = o.numbers(shape, DType::f32), to = o.zeros(shape, e.type);
                   return [=, &b] { b.copy(to, from); };
                 }});
  all.push_back({"copy", "within the run's type", [=](Backend& b, Operands& o) {
                   const Tensor from = o.numbers(shape, e.type), to = o.zeros(shape, e.type);
                   return [=, &b] { b.copy(to, from); };
                 }});
  all.push_back({"zero", "", [=](Backend& b, Operands& o) {
                   const Tensor x = o.zeros(shape, e.type);
                   return [=, &b] { b.zero(x); };
                 }});
}

void add_linear_cases(std::vector<Recipe>& all, Extents const& e) {
  for (Layer const& l : layers(e)) {
    const std::string what = std::string(l.name) + ", " + shape_text(l.rows, l.in, l.out);
    all.push_back({"linear", what, [=](Backend& b, Operands& o) {
                     const Tensor x = o.numbers(Shape(l.rows, l.in), e.type);
                     const Tensor w = o.numbers(Shape(l.out, l.in), e.type);
                     const Tensor y = o.zeros(Shape(l.rows, l.out), l.head ? DType::f32 : e.type);
                     return [=, &b] { b.linear(y, x, w); };
                   }});
  }
  for (Layer const& l : layers(e)) {
    const std::string what = std::string(l.name) + ", " + shape_text(l.rows, l.out, l.in);
    all.push_back({"linear_backward_input", what, [=](Backend& b, Operands& o) {
                     const Tensor dy = o.numbers(Shape(l.rows, l.out), e.type);
                     const Tensor w = o.numbers(Shape(l.out, l.in), e.type);
                     const Tensor dx = o.zeros(Shape(l.rows, l.in), e.type);
                     return [=, &b] { b.linear_backward_input(dx, dy, w); };
                   }});
  }
  for (Layer const& l : layers(e)) {
    const std::int64_t tile = std::min(e.tile, l.out);
    const std::string what = std::string(l.name) + ", a tile of " + std::to_string(tile) + " x " +
                             std::to_string(l.in) + " over " + std::to_string(l.rows);
    all.push_back({"linear_backward_weight", what, [=](Backend& b, Operands& o) {
                     const Tensor dy = o.numbers(Shape(l.rows, l.out), e.type);
                     const Tensor x = o.numbers(Shape(l.rows, l.in), e.type);
                     const Tensor g = o.zeros(Shape(tile, l.in), DType::f32);
                     return [=, &b] { b.linear_backward_weight(g, dy.col_block(0, tile), x); };
                   }});
  }
  for (Layer const& l : layers(e)) {
    if (l.head || l.out < kRanks) continue;  // of the head a rank has its own rows alone
    const std::int64_t owned = l.out / kRanks, tile = std::min(e.tile, owned);
    const std::string what = std::string(l.name) + ", for 4 ranks a tile of " +
                             std::to_string(tile) + " x " + std::to_string(l.in) + " over " +
                             std::to_string(l.rows);
    all.push_back({"linear_backward_weights", what, [=](Backend& b, Operands& o) {
                     const Tensor dy = o.numbers(Shape(l.rows, l.out), e.type);
                     const Tensor x = o.numbers(Shape(l.rows, l.in), e.type);
                     const Tensor g = o.zeros(Shape(kRanks * tile, l.in), e.type);
                     const Tensor blocks = dy.col_block(0, (kRanks - 1) * owned + tile);
                     return [=, &b] { b.linear_backward_weights(g, blocks, x, {kRanks, owned}); };
                   }});
  }
}

void add_row_cases(std::vector<Recipe>& all, Extents const& e) {
  const std::int64_t n = e.tokens, c = e.model.width, v = e.model.vocab;
  all.push_back({"gather_rows", "embedding", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(Shape(v, c), e.type),
                                y = o.zeros(Shape(n, c), e.type);
                   const Tensor index = o.integers(n, [=](std::int64_t i) { return i * 7919 % v; });
                   return [=, &b] { b.gather_rows(y, x, index); };
                 }});
  all.push_back({"scatter_rows", "rows with targets", [=](Backend& b, Operands& o) {
                   const std::int64_t m = e.targets;
                   const Tensor x = o.numbers(Shape(m, c), e.type),
                                y = o.zeros(Shape(n, c), e.type);
                   const Tensor index = o.integers(m, [=](std::int64_t i) { return i * n / m; });
                   return [=, &b] { b.scatter_rows(y, x, index); };
                 }});
  const std::int64_t u = (n + 3) / 4;  // distinct ids, each four times
  all.push_back({"sum_rows", "of equal ids", [=](Backend& b, Operands& o) {
                   const Tensor dy = o.numbers(Shape(n, c), e.type);
                   const Tensor out = o.zeros(Shape(u, c), DType::f32);
                   const Tensor order = o.integers(n, [=](std::int64_t i) { return n - 1 - i; });
                   const Tensor ends =
                       o.integers(u + 1, [=](std::int64_t i) { return 4 * i < n ? 4 * i : n; });
                   return [=, &b] { b.sum_rows(out, dy, order, ends); };
                 }});
  all.push_back({"add_rows", "to a tile", [=](Backend& b, Operands& o) {
                   const std::int64_t rows = std::min(u, e.tile);
                   const Tensor g = o.zeros(Shape(e.tile, c), DType::f32);
                   const Tensor add = o.numbers(Shape(rows, c), DType::f32);
                   const Tensor index = o.integers(rows, [](std::int64_t i) { return i; });
                   return [=, &b] { b.add_rows(g, add, index, 0); };
                 }});
}

void add_block_cases(std::vector<Recipe>& all, Extents const& e) {
  const Shape rows(e.tokens, e.model.width);
  const float eps = e.model.norm_eps;
  all.push_back({"rmsnorm", "", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(rows, e.type), y = o.zeros(rows, e.type);
                   const Tensor w = o.numbers(Shape(rows.cols()), e.type);
                   const Tensor rstd = o.zeros(Shape(rows.rows()), DType::f32);
                   return [=, &b] { b.rmsnorm(y, rstd, x, w, eps); };
                 }});
  all.push_back({"rmsnorm_backward", "with residual and dw", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(rows, e.type), dy = o.numbers(rows, e.type);
                   const Tensor residual = o.numbers(rows, e.type), dx = o.zeros(rows, e.type);
                   const Tensor w = o.numbers(Shape(rows.cols()), e.type);
                   const Tensor rstd = o.numbers(Shape(rows.rows()), DType::f32);
                   const Tensor dw = o.zeros(Shape(rows.cols()), DType::f32);
                   return [=, &b] { b.rmsnorm_backward(dx, dw, dy, x, w, rstd, residual); };
                 }});
  all.push_back({"rmsnorm", "of queries by heads", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(queries(e), e.type), y = o.zeros(queries(e), e.type);
                   const Tensor w = o.numbers(Shape(e.model.head_width), e.type);
                   const Tensor rstd = o.zeros(Shape(e.tokens * e.model.heads), DType::f32);
                   return [=, &b] { b.rmsnorm(y, rstd, x, w, eps); };
                 }});
  all.push_back({"rmsnorm_backward", "of queries by heads, with dw", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(queries(e), e.type),
                                dx = o.numbers(queries(e), e.type);
                   const Tensor w = o.numbers(Shape(e.model.head_width), e.type);
                   const Tensor rstd = o.numbers(Shape(e.tokens * e.model.heads), DType::f32);
                   const Tensor dw = o.zeros(Shape(e.model.head_width), DType::f32);
                   return [=, &b] { b.rmsnorm_backward(dx, dw, dx, x, w, rstd); };
                 }});
  all.push_back({"add_bias", "to a residual", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(rows, e.type), y = o.zeros(rows, e.type);
                   const Tensor bias = o.numbers(Shape(rows.cols()), e.type);
                   return [=, &b] { b.add_bias(y, bias, x); };
                 }});
  all.push_back({"sum_columns", "", [=](Backend& b, Operands& o) {
                   const Tensor dy = o.numbers(rows, e.type);
                   const Tensor sum = o.zeros(Shape(rows.cols()), DType::f32);
                   return [=, &b] { b.sum_columns(sum, dy); };
                 }});
  all.push_back({"scale", "with a residual", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(rows, e.type), y = o.zeros(rows, e.type);
                   return [=, &b] { b.scale(y, x, 0.5f, x); };
                 }});
  all.push_back({"rope", "queries", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(queries(e), e.type);
                   const Tensor positions = sequences(o, e).positions;
                   const Tensor freq = o.numbers(Shape(e.model.head_width / 2), DType::f32);
                   return [=, &b] { b.rope(x, positions, freq, Rotation::forward); };
                 }});
  all.push_back({"attention", "", [=](Backend& b, Operands& o) {
                   const Tensor q = o.numbers(queries(e), e.type), k = o.numbers(keys(e), e.type);
                   const Tensor v = o.numbers(keys(e), e.type), out = o.zeros(queries(e), e.type);
                   const Tensor lse = o.zeros(Shape(e.tokens, e.model.heads), DType::f32);
                   const Sequences s = sequences(o, e);
                   return [=, &b] { b.attention(out, lse, q, k, v, s, s, heads(e)); };
                 }});
  all.push_back({"attention_backward", "", [=](Backend& b, Operands& o) {
                   const Tensor q = o.numbers(queries(e), e.type), k = o.numbers(keys(e), e.type);
                   const Tensor v = o.numbers(keys(e), e.type), dq = o.zeros(queries(e), e.type);
                   const Tensor dk = o.zeros(keys(e), e.type), dv = o.zeros(keys(e), e.type);
                   const Tensor out = o.zeros(queries(e), e.type);
                   const Tensor dout = o.numbers(queries(e), e.type);
                   const Tensor lse = o.zeros(Shape(e.tokens, e.model.heads), DType::f32);
                   const Sequences s = sequences(o, e);
                   b.attention(out, lse, q, k, v, s, s, heads(e));
                   return [=, &b] {
                     b.attention_backward(dq, dk, dv, dout, out, lse, q, k, v, s, s, heads(e));
                   };
                 }});
  const Shape gates(e.tokens, 2 * e.model.ffn), act(e.tokens, e.model.ffn);
  all.push_back({"swiglu", "", [=](Backend& b, Operands& o) {
                   const Tensor in = o.numbers(gates, e.type), out = o.zeros(act, e.type);
                   return [=, &b] { b.swiglu(out, in); };
                 }});
  all.push_back({"swiglu_backward", "", [=](Backend& b, Operands& o) {
                   const Tensor in = o.numbers(gates, e.type), d = o.numbers(act, e.type);
                   const Tensor out = o.zeros(gates, e.type);
                   return [=, &b] { b.swiglu_backward(out, d, in); };
                 }});
}

void add_rank_cases(std::vector<Recipe>& all, Extents const& e) {
  all.push_back({"sum_partials", "a tile of 4 ranks", [=](Backend& b, Operands& o) {
                   const Shape tile(e.tile, e.model.ffn);
                   const Tensor out = o.zeros(tile, DType::f32);
                   const Tensor partials = o.numbers(Shape(kRanks * e.tile, e.model.ffn), e.type);
                   return [=, &b] { b.sum_partials(out, partials); };
                 }});
  all.push_back({"cross_entropy_merge", "of 4 ranks", [=](Backend& b, Operands& o) {
                   const Tensor out = o.zeros(Shape(e.targets, 3), DType::f32);
                   const Tensor partials = o.numbers(Shape(kRanks * e.targets, 3), DType::f32);
                   return [=, &b] { b.cross_entropy_merge(out, partials); };
                 }});
}

void add_head_cases(std::vector<Recipe>& all, Extents const& e) {
  const std::int64_t n = e.targets;
  const Shape block(n, e.head_block);
  all.push_back({"cross_entropy_begin", "", [=](Backend& b, Operands& o) {
                   const Tensor running = o.zeros(Shape(n, 3), DType::f32);
                   return [=, &b] { b.cross_entropy_begin(running); };
                 }});
  all.push_back({"cross_entropy_block", "", [=](Backend& b, Operands& o) {
                   const Tensor running = o.zeros(Shape(n, 3), DType::f32);
                   const Tensor z = o.numbers(block, DType::f32);
                   const Tensor targets = o.integers(n, [](std::int64_t) { return 0; });
                   b.cross_entropy_begin(running);
                   return [=, &b] { b.cross_entropy_block(running, z, targets, 0); };
                 }});
  all.push_back({"cross_entropy_end", "", [=](Backend& b, Operands& o) {
                   const Tensor running = o.numbers(Shape(n, 3), DType::f32);
                   const Tensor loss = o.zeros(Shape(n), DType::f32);
                   const Tensor lse = o.zeros(Shape(n), DType::f32);
                   return [=, &b] { b.cross_entropy_end(loss, lse, running); };
                 }});
  all.push_back({"cross_entropy_backward", "", [=](Backend& b, Operands& o) {
                   const Tensor z = o.numbers(block, DType::f32), dz = o.zeros(block, e.type);
                   const Tensor lse = o.numbers(Shape(n), DType::f32);
                   const Tensor targets = o.integers(n, [](std::int64_t) { return 0; });
                   return [=, &b] { b.cross_entropy_backward(dz, z, lse, targets, 0, 1.0f); };
                 }});
}

}  // namespace lomo::bench

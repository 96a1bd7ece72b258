// Gradients and updates, of a tile of the widest matrix and its rows.
#include "cases.h"

namespace lomo::bench {
namespace {

RoundingPlan plan(Rounding mode, Tensor rounding_stats = {}) {
  RoundingPlan p;
  p.mode = mode;
  p.key = random_key(1, "bench", "w", 1);
  p.rounding_stats = rounding_stats;
  return p;
}

}  // namespace

void add_update_cases(std::vector<Recipe>& all, Extents const& e) {
  const Shape tile(e.tile, e.model.ffn);
  constexpr auto kSums = [](Operands& o) { return o.zeros(Shape(2), DType::f64); };
  all.push_back({"accumulate_squared_norm", "a tile", [=](Backend& b, Operands& o) {
                   const Tensor g = o.numbers(tile, DType::f32), stats = kSums(o);
                   return [=, &b] { b.accumulate_squared_norm(stats, g, 1.0f); };
                 }});
  all.push_back({"inner_product", "two tiles", [=](Backend& b, Operands& o) {
                   const Tensor x = o.numbers(tile, DType::f32), y = o.numbers(tile, DType::f32);
                   const Tensor sums = kSums(o);
                   return [=, &b] { b.inner_product(sums, x, y, 1.0); };
                 }});
  for (const bool stochastic : {false, true}) {
    const Rounding mode = stochastic ? Rounding::stochastic : Rounding::nearest;
    all.push_back({"sgd_update", stochastic ? "a tile, stochastic" : "a tile, nearest",
                   [=](Backend& b, Operands& o) {
                     const Tensor w = o.numbers(tile, e.type), g = o.numbers(tile, DType::f32);
                     return [=, &b] {
                       b.sgd_update(w, g, {.lr = 1e-3f, .weight_decay = 0, .gradient = {}},
                                    plan(mode));
                     };
                   }});
  }
  all.push_back({"sgd_update", "a tile, with rounding statistics", [=](Backend& b, Operands& o) {
                   const Tensor w = o.numbers(tile, e.type), g = o.numbers(tile, DType::f32);
                   const Tensor rounding_stats = o.zeros(Shape(4), DType::f64);
                   return [=, &b] {
                     b.sgd_update(w, g, {.lr = 1e-3f, .weight_decay = 0, .gradient = {}},
                                  plan(Rounding::nearest, rounding_stats));
                   };
                 }});
  all.push_back({"sgd_update", "a tile of 4 ranks' parts", [=](Backend& b, Operands& o) {
                   const DType comm_dtype = e.type == DType::f32 ? DType::f32 : DType::bf16;
                   const Tensor w = o.numbers(tile, e.type);
                   const Tensor partials =
                       o.numbers(Shape(kRanks * tile.rows(), tile.cols()), comm_dtype);
                   return [=, &b] {
                     b.sgd_update(w, partials, {.lr = 1e-3f, .weight_decay = 0, .gradient = {}},
                                  plan(Rounding::nearest));
                   };
                 }});
  all.push_back({"momentum_update", "a tile", [=](Backend& b, Operands& o) {
                   const Tensor m = o.numbers(tile, DType::f32), g = o.numbers(tile, DType::f32);
                   return [=, &b] { b.momentum_update(m, g, 0.9f, {}); };
                 }});
  all.push_back({"adamw_update", "a tile", [=](Backend& b, Operands& o) {
                   const Tensor w = o.numbers(tile, e.type), g = o.numbers(tile, DType::f32);
                   const Tensor m = o.zeros(tile, DType::f32), v = o.zeros(tile, DType::f32);
                   Backend::AdamStep step;
                   step.lr = 1e-3f;
                   return [=, &b] { b.adamw_update(w, m, v, g, step, plan(Rounding::nearest)); };
                 }});
  const auto row = [=](Operands& o) { return o.zeros(Shape(tile.rows()), DType::f32); };
  const auto col = [=](Operands& o) { return o.zeros(Shape(tile.cols()), DType::f32); };
  all.push_back({"square_sums", "a tile", [=](Backend& b, Operands& o) {
                   const Tensor g = o.numbers(tile, DType::f32), r = row(o), c = col(o);
                   return [=, &b] { b.square_sums(r, c, g, {}); };
                 }});
  all.push_back({"decay_average", "columns", [=](Backend& b, Operands& o) {
                   const Tensor state = col(o), sums = col(o);
                   return [=, &b] { b.decay_average(state, sums, 0.9f, 1.0f, 1e-30f); };
                 }});
  all.push_back({"sum", "columns", [=](Backend& b, Operands& o) {
                   const Tensor total = o.zeros(Shape(1), DType::f64), x = col(o);
                   return [=, &b] { b.sum(total, x); };
                 }});
  const auto adalomo = [=](bool update) {
    return [=](Backend& b, Operands& o) -> std::function<void()> {
      const Tensor w = o.numbers(tile, e.type), g = o.numbers(tile, DType::f32);
      const Tensor r = row(o), c = col(o), sums = kSums(o);
      Backend::AdaLomoTensor whole{o.zeros(Shape(1), DType::f64), tile.rows(), tile.numel()};
      b.square_sums(r, c, g, {});
      b.sum(whole.row_total, r);
      b.adalomo_statistics(sums, w, g, r, c, whole, {});
      if (!update) return [=, &b] { b.adalomo_statistics(sums, w, g, r, c, whole, {}); };
      Backend::AdaLomoStep step;
      step.lr = 1e-6f;
      return [=, &b] { b.adalomo_update(w, g, r, c, sums, whole, step, plan(Rounding::nearest)); };
    };
  };
  all.push_back({"adalomo_statistics", "a tile", adalomo(false)});
  all.push_back({"adalomo_update", "a tile, nearest", adalomo(true)});
}

}  // namespace lomo::bench

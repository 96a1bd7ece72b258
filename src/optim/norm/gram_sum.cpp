#include "gram_sum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "../dlogits.h"

namespace lomo {

namespace {

constexpr std::int64_t kBlock = 256;   // rows of the Gram matrices that exist at once
constexpr double kUncertainty = 1e-3;  // largest share of the squared norm that may be rounding

template <class F>
void for_each_block(std::int64_t n, F const& f) {
  for (std::int64_t first = 0; first < n; first += kBlock) f(first, std::min(kBlock, n - first));
}

}  // namespace

double GramSum::triangle(std::int64_t n) {
  double entries = 0;
  for_each_block(n, [&](std::int64_t first, std::int64_t rows) {
    entries += static_cast<double>(rows) * static_cast<double>(first + rows);
  });
  return entries;
}

/// A block of rows of a Gram matrix, f32.
class GramSum::Scratch {
 public:
  Scratch(Backend& backend, std::int64_t rows, std::int64_t cols)
      : backend_(backend),
        buffer_(backend.allocate(Shape(std::min(kBlock, rows) * cols), DType::f32,
                                 Category::workspace, "gram block")) {}
  /// a b^T of a (n,k), b (m,k).
  Tensor product(Tensor a, Tensor b) const {
    const Shape shape(a.rows(), b.rows());
    const Tensor out = buffer_.tensor().row_block(0, shape.numel()).reshaped(shape);
    backend_.linear(out, a, b);
    return out;
  }

 private:
  Backend& backend_;
  Buffer buffer_;
};

GramSum::GramSum(Backend& backend)
    : backend_(backend),
      sums_(backend.allocate(Shape(2), DType::f64, Category::workspace, "gram sums")) {
  backend_.zero(sums_);
}

void GramSum::add(Tensor dy, Tensor x) {
  const std::int64_t n = x.rows();
  const Scratch a(backend_, n, n), b(backend_, n, n);
  for_each_block(n, [&](std::int64_t first, std::int64_t rows) {
    const std::int64_t end = first + rows;
    add_triangle_row(a.product(dy.row_block(first, rows), dy.row_block(0, end)),
                     b.product(x.row_block(first, rows), x.row_block(0, end)), first);
  });
  widest_ = std::max(widest_, dy.cols() + x.cols());
}

void GramSum::add_pairs(Tensor dy, Tensor x, Tensor other_dy, Tensor other_x) {
  const std::int64_t n = x.rows(), m = other_x.rows();
  const Scratch a(backend_, n, m), b(backend_, n, m);
  for_each_block(n, [&](std::int64_t first, std::int64_t rows) {
    backend_.inner_product(sums_, a.product(dy.row_block(first, rows), other_dy),
                           b.product(x.row_block(first, rows), other_x), 2);
  });
  widest_ = std::max(widest_, dy.cols() + x.cols());
}

void GramSum::add(HeadOffer const& offer, Parameter const& head) {
  const Tensor w = head.value;  // (V,C), the rows owned here
  const Tensor x = offer.x;     // (N',C)
  const std::int64_t n = x.rows();
  Buffer a = backend_.allocate(Shape(n, n), DType::f32, Category::workspace, "gram of the logits");
  backend_.zero(a);
  for (std::int64_t first = 0; first < w.rows(); first += offer.block_rows) {
    const std::int64_t count = std::min(offer.block_rows, w.rows() - first);
    const Buffer dz = dlogits(backend_, offer, w.row_block(first, count), head.owned.first + first);
    backend_.linear(a, dz, dz, a);
  }
  const Scratch b(backend_, n, n);
  for_each_block(n, [&](std::int64_t first, std::int64_t rows) {
    const std::int64_t end = first + rows;
    add_triangle_row(a.tensor().row_block(first, rows).col_block(0, end),
                     b.product(x.row_block(first, rows), x.row_block(0, end)), first);
  });
  widest_ = std::max(widest_, w.rows() + w.cols());
}

/// A block of rows of the lower triangle: what is left of the diagonal block stands for its mirror
/// image too.
void GramSum::add_triangle_row(Tensor a, Tensor b, std::int64_t first) {
  if (first > 0) backend_.inner_product(sums_, a.col_block(0, first), b.col_block(0, first), 2);
  backend_.inner_product(sums_, a.col_block(first, a.rows()), b.col_block(first, a.rows()), 1);
}

std::optional<double> GramSum::trusted(Communicator& ranks) const {
  std::array<double, 2> mine{};
  if (backend_.computes()) backend_.download(std::as_writable_bytes(std::span(mine)), sums_);
  std::array<double, 2> all{};
  for (auto const& part : ranks.all_gather_host(mine)) {
    all[0] += part[0];
    all[1] += part[1];
  }
  const double error = all[1] * std::sqrt(2.0 * static_cast<double>(widest_)) * 0x1p-24;
  if (!std::isfinite(all[0]) || !(error <= kUncertainty * all[0])) return std::nullopt;
  return mine[0];
}

}  // namespace lomo

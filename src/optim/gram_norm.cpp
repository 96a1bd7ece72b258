#include "gram_norm.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>

#include "dlogits.h"

namespace lomo {

namespace {

constexpr std::int64_t kBlock = 256;   // rows of the Gram matrices that exist at once
constexpr double kUncertainty = 1e-3;  // largest share of the squared norm that may be rounding

/// Entries of the lower triangle of blocks.
double triangle(std::int64_t n) {
  double entries = 0;
  for (std::int64_t first = 0; first < n; first += kBlock) {
    const std::int64_t end = std::min(first + kBlock, n);
    entries += static_cast<double>(end - first) * static_cast<double>(end);
  }
  return entries;
}

/// Small square products reach less of an engine's rate than the long ones of dy^T x: they must
/// take at most two thirds of the operations.
bool clearly_less(double gram, double formed) {
  return 3 * gram <= 2 * formed;
}

double product(std::int64_t a, std::int64_t b, std::int64_t c) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

/// What the sums of the two Gram matrices came to.
class GramSum {
 public:
  explicit GramSum(Backend& backend)
      : backend_(backend),
        sums_(backend.allocate(Shape(2), DType::f64, Category::workspace, "gram sums")) {
    backend_.zero(sums_);
  }

  /// dy dy^T and x x^T by blocks of rows of their lower triangle.
  void add(Tensor dy, Tensor x) {
    const Scratch a(backend_, x.rows()), b(backend_, x.rows());
    for_each_block(x.rows(), [&](std::int64_t first, std::int64_t rows) {
      add_block(gram(a, dy, first, rows), gram(b, x, first, rows), first);
    });
    widest_ = std::max(widest_, dy.cols() + x.cols());
  }

  /// dZ dZ^T is summed over blocks of the vocabulary, as a whole.
  void add(HeadOffer const& offer, Parameter const& head) {
    const Tensor w = head.value;  // (V,C), the rows owned here
    const Tensor x = offer.x;     // (N',C)
    const std::int64_t n = x.rows();
    Buffer a =
        backend_.allocate(Shape(n, n), DType::f32, Category::workspace, "gram of the logits");
    backend_.zero(a);
    for (std::int64_t first = 0; first < w.rows(); first += offer.block_rows) {
      const std::int64_t count = std::min(offer.block_rows, w.rows() - first);
      const Buffer dz =
          dlogits(backend_, offer, w.row_block(first, count), head.owned.first + first);
      backend_.linear(a, dz, dz, a);
    }
    const Scratch b(backend_, n);
    for_each_block(n, [&](std::int64_t first, std::int64_t rows) {
      const Tensor lower = a.tensor().row_block(first, rows).col_block(0, first + rows);
      add_block(lower, gram(b, x, first, rows), first);
    });
    widest_ = std::max(widest_, w.rows() + w.cols());
  }

  /// An f32 sum of k products is off by about sqrt(k) roundings of its size, so the total by the
  /// sum over blocks of sqrt(k) 2^-24 |block of dy dy^T| |block of x x^T|, which far exceeds the
  /// total when rows nearly cancel.
  std::optional<double> trusted() const {
    if (!backend_.computes()) return 0.0;
    std::array<double, 2> host{};
    backend_.download(std::as_writable_bytes(std::span(host)), sums_);
    const double error = host[1] * std::sqrt(2.0 * static_cast<double>(widest_)) * 0x1p-24;
    if (!std::isfinite(host[0]) || !(error <= kUncertainty * host[0])) return std::nullopt;
    return host[0];
  }

 private:
  struct Scratch {
    Scratch(Backend& backend, std::int64_t n)
        : buffer(backend.allocate(Shape(std::min(kBlock, n) * n), DType::f32, Category::workspace,
                                  "gram block")) {}
    Tensor shaped(Shape shape) const {
      return buffer.tensor().row_block(0, shape.numel()).reshaped(shape);
    }
    Buffer buffer;
  };

  template <class F>
  static void for_each_block(std::int64_t n, F const& f) {
    for (std::int64_t first = 0; first < n; first += kBlock) f(first, std::min(kBlock, n - first));
  }

  Tensor gram(Scratch const& scratch, Tensor x, std::int64_t first, std::int64_t rows) {
    const Tensor out = scratch.shaped(Shape(rows, first + rows));
    backend_.linear(out, x.row_block(first, rows), x.row_block(0, first + rows));
    return out;
  }

  /// Rows of the lower triangle: what is left of the diagonal block stands for its mirror image
  /// too.
  void add_block(Tensor a, Tensor b, std::int64_t first) {
    if (first > 0) {
      backend_.inner_product(sums_, a.col_block(0, first), b.col_block(0, first), 2);
    }
    backend_.inner_product(sums_, a.col_block(first, a.rows()), b.col_block(first, a.rows()), 1);
  }

  Backend& backend_;
  Buffer sums_;  // (2) f64
  std::int64_t widest_ = 0;
};

bool linear_offers_are_cheaper(std::vector<Offer> const& offers) {
  double gram = 0, formed = 0;
  std::size_t covered = 0;  // members so far: offers that overlap would have a cross term
  for (auto const& offer : offers) {
    auto const* linear = std::get_if<LinearOffer>(&offer);
    if (linear == nullptr || linear->first < covered) return false;
    covered = std::min(linear->count, kAllMembers - linear->first) + linear->first;
    const Tensor dy = linear->dy, x = linear->x;
    gram += triangle(x.rows()) * static_cast<double>(dy.cols() + x.cols());
    formed += product(x.rows(), dy.cols(), x.cols());
  }
  return clearly_less(gram, formed);
}

bool head_offer_is_cheaper(HeadOffer const& offer, Tensor w) {
  const std::int64_t n = offer.x.tensor().rows();
  const double gram = product(n, n, w.rows()) + triangle(n) * static_cast<double>(w.cols());
  return clearly_less(gram, product(n, w.rows(), w.cols()));
}

}  // namespace

bool gram_is_cheaper(ParameterGroup const& group, std::vector<Offer> const& offers) {
  if (auto const* head = std::get_if<HeadOffer>(&offers.front()); head && offers.size() == 1) {
    return head_offer_is_cheaper(*head, group.single().value);
  }
  return linear_offers_are_cheaper(offers);
}

std::optional<double> gram_norm_squared(Backend& backend, ParameterGroup const& group,
                                        std::vector<Offer> const& offers) {
  if (!gram_is_cheaper(group, offers)) return std::nullopt;
  GramSum sum(backend);
  for (auto const& offer : offers) {
    if (auto const* linear = std::get_if<LinearOffer>(&offer)) {
      sum.add(linear->dy, linear->x);
    } else {
      sum.add(std::get<HeadOffer>(offer), group.single());
    }
  }
  return sum.trusted();
}

}  // namespace lomo

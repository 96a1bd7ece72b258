#pragma once
#include <utility>

#include "lomo/backend/backend.h"
#include "lomo/optim/gradient_sink.h"

namespace lomo {

/// RMS norm (Zhang and Sennrich 2019, arXiv 1910.07467): y = x / sqrt(mean(x^2) + eps) * w, by
/// rows.
struct RmsNorm {
  ParameterGroup weight;  // (C)

  /// y (N,C); rstd (N) f32 is what backward needs of each row.
  void forward(Backend& backend, Tensor y, Tensor rstd, Tensor x, float eps) const {
    backend.rmsnorm(y, rstd, x, weight.stacked(), eps);
  }
  /// dx (N,C) = the gradient of x [+ residual]; `residual` may be dx. Returns that of the weight
  /// (C) f32, nothing where `sink` does not want it.
  Buffer backward(Backend& backend, GradientSink const& sink, Tensor dx, Tensor dy, Tensor x,
                  Tensor rstd, Tensor residual = {}) const {
    Buffer dw;
    if (sink.requires_grad(weight)) {
      dw = backend.allocate(weight.stacked().shape(), DType::f32, Category::activations,
                            "norm gradient");
    }
    backend.rmsnorm_backward(dx, dw, dy, x, weight.stacked(), rstd, residual);
    return dw;
  }
  /// Offers what backward returned.
  void offer(GradientSink& sink, Buffer dw) {
    if (dw) sink.offer(weight, VectorOffer{std::move(dw)}, true);
  }
};

}  // namespace lomo

#include "kernels/update.h"

#include <cmath>

#include "engine.h"
#include "kernels/squared_norm.h"
#include "rules.h"

namespace lomo::cuda {

void CudaBackend::do_accumulate_squared_norm(Tensor stats, Tensor g, float scale) {
  const Buffer work =
      workspace_of("accumulate_squared_norm", workspaces_.accumulate_squared_norm(g));
  check(kernels::accumulate_squared_norm(address<double>(stats), in(g), scale, work.tensor().raw(),
                                         g.rows(), g.cols(), queue_),
        "accumulate_squared_norm");
}

void CudaBackend::do_inner_product(Tensor sums, Tensor a, Tensor b, double weight) {
  const Buffer work = workspace_of("inner_product", workspaces_.inner_product(a));
  check(kernels::inner_product(address<double>(sums), in(a), in(b), weight, work.tensor().raw(),
                               a.rows(), a.cols(), queue_),
        "inner_product");
}

void CudaBackend::do_sgd_update(Tensor w, Tensor g, std::int64_t ranks, SgdStep const& step,
                                RoundingPlan const& plan, Tensor found_inf, Tensor rows) {
  const Tensor updated = ranks > 0 ? w : g;
  const Buffer work = workspace_of("sgd_update", workspaces_.rounding_stats(updated, plan));
  const auto keep = static_cast<float>(1.0 - static_cast<double>(step.lr) * step.weight_decay);
  check(kernels::sgd_update(storage(w.dtype()), out(w), {in(g), ranks, storage(g.dtype())}, step.lr,
                            keep, rule(step.gradient), rule(plan), address<double>(found_inf),
                            address<std::int32_t>(rows), work.tensor().raw(), updated.rows(),
                            updated.cols(), queue_),
        "sgd_update");
}

void CudaBackend::do_momentum_update(Tensor m, Tensor g, float momentum,
                                     GradientScaling const& gradient, Tensor found_inf) {
  check(kernels::momentum_update(out(m), out(g), momentum, rule(gradient),
                                 address<double>(found_inf), g.rows(), g.cols(), queue_),
        "momentum_update");
}

void CudaBackend::do_adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                                  RoundingPlan const& plan, Tensor found_inf) {
  const Buffer work = workspace_of("adamw_update", workspaces_.rounding_stats(g, plan));
  const auto t = static_cast<double>(step.t);
  kernels::AdamRule adam;
  adam.lr = static_cast<float>(step.lr / (1 - std::pow(step.beta1, t)));
  adam.keep = static_cast<float>(1.0 - static_cast<double>(step.lr) * step.weight_decay);
  adam.beta1 = step.beta1;
  adam.beta2 = step.beta2;
  adam.eps = step.eps;
  adam.correct = static_cast<float>(1 / (1 - std::pow(step.beta2, t)));
  check(kernels::adamw_update(storage(w.dtype()), out(w), out(m), out(v), in(g), adam,
                              rule(step.gradient), rule(plan), address<double>(found_inf),
                              work.tensor().raw(), g.rows(), g.cols(), queue_),
        "adamw_update");
}

}  // namespace lomo::cuda

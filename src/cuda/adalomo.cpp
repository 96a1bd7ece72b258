#include "kernels/adalomo.h"

#include "engine.h"
#include "kernels/squared_norm.h"
#include "rules.h"

namespace lomo::cuda {
namespace {

kernels::SecondMoment moment(Tensor row, Tensor col, Backend::AdaLomoTensor const& whole) {
  return {address<float>(row), address<float>(col), address<double>(whole.row_total), whole.rows,
          whole.numel};
}

}  // namespace

void CudaBackend::do_square_sums(Tensor row, Tensor col, Tensor g,
                                 GradientScaling const& gradient) {
  const Buffer work = workspace_of("square_sums", workspaces_.square_sums(g));
  check(kernels::square_sums(address<float>(row), address<float>(col), in(g), rule(gradient),
                             work.tensor().raw(), g.rows(), g.cols(), queue_),
        "square_sums");
}

void CudaBackend::do_decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                                   Tensor found_inf) {
  check(kernels::decay_average(address<float>(state), address<float>(sums), beta, scale, eps,
                               address<double>(found_inf), state.numel(), queue_),
        "decay_average");
}

void CudaBackend::do_sum(Tensor total, Tensor x) {
  check(kernels::sum(address<double>(total), address<float>(x), x.numel(), queue_), "sum");
}

void CudaBackend::do_adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                                        AdaLomoTensor const& whole,
                                        GradientScaling const& gradient) {
  const Buffer work = workspace_of("adalomo_statistics", workspaces_.adalomo_statistics(g));
  check(kernels::adalomo_statistics(storage(w.dtype()), address<double>(sums), in(w), in(g),
                                    moment(row, col, whole), rule(gradient), work.tensor().raw(),
                                    g.rows(), g.cols(), queue_),
        "adalomo_statistics");
}

void CudaBackend::do_adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                                    AdaLomoTensor const& whole, AdaLomoStep const& step,
                                    RoundingPlan const& plan, Tensor found_inf) {
  const Buffer work = workspace_of("adalomo_update", workspaces_.adalomo_update(g, plan));
  const kernels::AdaLomoRule adalomo{step.lr, step.weight_decay, step.clip_threshold, step.eps2};
  check(kernels::adalomo_update(storage(w.dtype()), out(w), in(g), address<double>(sums),
                                moment(row, col, whole), adalomo, rule(step.gradient), rule(plan),
                                address<double>(found_inf), work.tensor().raw(), g.rows(), g.cols(),
                                queue_),
        "adalomo_update");
}

}  // namespace lomo::cuda

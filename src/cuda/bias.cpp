#include "kernels/bias.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_add_bias(Tensor y, Tensor bias, Tensor x) {
  check(
      kernels::add_bias(storage(y.dtype()), out(y), bias.raw(), in(x), y.rows(), y.cols(), queue_),
      "add_bias");
}

void CudaBackend::do_sum_columns(Tensor dbias, Tensor dy) {
  const Buffer work = workspace_of("sum_columns", workspaces_.sum_columns(dy));
  check(kernels::sum_columns(storage(dy.dtype()), address<float>(dbias), in(dy),
                             work.tensor().raw(), dy.rows(), dy.cols(), queue_),
        "sum_columns");
}

void CudaBackend::do_scale(Tensor y, Tensor x, float factor, Tensor residual) {
  check(kernels::scale(storage(y.dtype()), out(y), in(x), factor, in(residual), y.rows(), y.cols(),
                       queue_),
        "scale");
}

}  // namespace lomo::cuda

#include "kernels/norm.h"

#include "arguments.h"
#include "engine.h"
#include "kernels/head_norm.h"

namespace lomo::cuda {

void CudaBackend::do_rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) {
  if (w.rows() != x.cols()) {
    check(kernels::head_norm(storage(x.dtype()), out(y), address<float>(rstd), in(x), w.raw(), eps,
                             x.rows(), x.cols() / w.rows(), w.rows(), queue_),
          "rmsnorm by heads");
    return;
  }
  check(kernels::rmsnorm(storage(x.dtype()), out(y), address<float>(rstd), in(x), w.raw(), eps,
                         x.rows(), x.cols(), queue_),
        "rmsnorm");
}

void CudaBackend::do_rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w,
                                      Tensor rstd, Tensor residual) {
  const Buffer work = workspace_of("rmsnorm_backward", workspaces_.rmsnorm_backward(x, dw));
  if (w.rows() != x.cols()) {
    check(kernels::head_norm_backward(storage(x.dtype()), out(dx), address<float>(dw), in(dy),
                                      in(x), w.raw(), address<float>(rstd), in(residual),
                                      work.tensor().raw(), x.rows(), x.cols() / w.rows(), w.rows(),
                                      queue_),
          "rmsnorm_backward by heads");
    return;
  }
  check(kernels::rmsnorm_backward(storage(x.dtype()), out(dx), address<float>(dw), in(dy), in(x),
                                  w.raw(), address<float>(rstd), in(residual), work.tensor().raw(),
                                  x.rows(), x.cols(), queue_),
        "rmsnorm_backward");
}

}  // namespace lomo::cuda

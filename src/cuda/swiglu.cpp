#include "kernels/swiglu.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_swiglu(Tensor act, Tensor gate_up) {
  check(
      kernels::swiglu(storage(act.dtype()), out(act), in(gate_up), act.rows(), act.cols(), queue_),
      "swiglu");
}

void CudaBackend::do_swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up) {
  check(kernels::swiglu_backward(storage(d_act.dtype()), out(d_gate_up), in(d_act), in(gate_up),
                                 d_act.rows(), d_act.cols(), queue_),
        "swiglu_backward");
}

}  // namespace lomo::cuda

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"

namespace lomo::cpu {

void CpuBackend::do_swiglu(Tensor act, Tensor gate_up) {
  const std::int64_t f = act.cols();
  dispatch(act.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = act.data<T>();
    T const* const from = gate_up.data<T>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < act.rows(); ++n) {
      T const* const gate = from + n * gate_up.pitch();
      row.swiglu(to + n * act.pitch(), gate, gate + f, f);
    }
  });
}

void CpuBackend::do_swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up) {
  const std::int64_t f = d_act.cols();
  dispatch(d_act.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = d_gate_up.data<T>();
    T const* const up = d_act.data<T>();
    T const* const from = gate_up.data<T>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < d_act.rows(); ++n) {
      T* const d_gate = to + n * d_gate_up.pitch();
      T const* const gate = from + n * gate_up.pitch();
      row.swiglu_backward(d_gate, d_gate + f, up + n * d_act.pitch(), gate, gate + f, f);
    }
  });
}

}  // namespace lomo::cpu

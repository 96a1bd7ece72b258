#include <cmath>
#include <limits>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"

namespace lomo::cpu {

void CpuBackend::do_cross_entropy_begin(Tensor running) {
  float* const r = running.data<float>();
  for (std::int64_t n = 0; n < running.rows(); ++n) {
    r[n * running.pitch()] = -std::numeric_limits<float>::infinity();
    r[n * running.pitch() + 1] = 0;
    r[n * running.pitch() + 2] = 0;
  }
}

void CpuBackend::do_cross_entropy_block(Tensor running, Tensor z, Tensor targets,
                                        std::int64_t first) {
  auto const& k = kernels();
  float* const r = running.data<float>();
  float const* const logits = z.data<float>();
  std::int32_t const* const target = targets.data<std::int32_t>();
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t n = 0; n < z.rows(); ++n) {
    k.cross_entropy_block(r + n * running.pitch(), logits + n * z.pitch(), target[n] - first,
                          z.cols());
  }
}

void CpuBackend::do_cross_entropy_end(Tensor loss, Tensor lse, Tensor running) {
  float const* const r = running.data<float>();
  float* const l = loss.data<float>();
  float* const e = lse.data<float>();
  for (std::int64_t n = 0; n < running.rows(); ++n) {
    float const* const row = r + n * running.pitch();
    const float log_sum = std::log(row[1]);
    e[n] = row[0] + log_sum;
    l[n] = log_sum + (row[0] - row[2]);  // lse - target would carry the rounding of a large lse
  }
}

void CpuBackend::do_cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets,
                                           std::int64_t first, float scale) {
  float const* const logits = z.data<float>();
  float const* const e = lse.data<float>();
  std::int32_t const* const target = targets.data<std::int32_t>();
  dispatch(dz.dtype(), [&]<class T>(T) {
    auto const& row = kernels().of<T>();
    T* const to = dz.data<T>();
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < z.rows(); ++n) {
      row.cross_entropy_backward(to + n * dz.pitch(), logits + n * z.pitch(), e[n], scale,
                                 target[n] - first, z.cols());
    }
  });
}

}  // namespace lomo::cpu

#include "kernels/partials.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_sum_partials(Tensor sums, Tensor partials) {
  const std::int64_t ranks = partials.rows() / sums.rows();
  if (sums.dtype() == DType::f64) {
    return check(
        kernels::sum_partials(address<double>(sums), sums.pitch(), address<double>(partials),
                              partials.pitch(), ranks, sums.rows(), sums.cols(), queue_),
        "sum_partials");
  }
  check(kernels::sum_partials(storage(partials.dtype()), out(sums), in(partials), ranks,
                              sums.rows(), sums.cols(), queue_),
        "sum_partials");
}

void CudaBackend::do_cross_entropy_merge(Tensor running, Tensor partials) {
  check(kernels::cross_entropy_merge(address<float>(running), address<float>(partials),
                                     partials.rows() / running.rows(), running.rows(), queue_),
        "cross_entropy_merge");
}

}  // namespace lomo::cuda

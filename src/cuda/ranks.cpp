#include "kernels/ranks.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_sum_ranks(Tensor sums, Tensor parts) {
  const std::int64_t ranks = parts.rows() / sums.rows();
  if (sums.dtype() == DType::f64) {
    return check(kernels::sum_ranks(address<double>(sums), sums.pitch(), address<double>(parts),
                                    parts.pitch(), ranks, sums.rows(), sums.cols(), queue_),
                 "sum_ranks");
  }
  check(kernels::sum_ranks(storage(parts.dtype()), out(sums), in(parts), ranks, sums.rows(),
                           sums.cols(), queue_),
        "sum_ranks");
}

void CudaBackend::do_cross_entropy_merge(Tensor running, Tensor parts) {
  check(kernels::cross_entropy_merge(address<float>(running), address<float>(parts),
                                     parts.rows() / running.rows(), running.rows(), queue_),
        "cross_entropy_merge");
}

}  // namespace lomo::cuda

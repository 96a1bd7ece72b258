#include "kernels/cross_entropy.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_cross_entropy_begin(Tensor running) {
  check(kernels::cross_entropy_begin(address<float>(running), running.rows(), queue_),
        "cross_entropy_begin");
}

void CudaBackend::do_cross_entropy_block(Tensor running, Tensor z, Tensor targets,
                                         std::int64_t first) {
  check(kernels::cross_entropy_block(address<float>(running), in(z), address<std::int32_t>(targets),
                                     first, z.rows(), z.cols(), queue_),
        "cross_entropy_block");
}

void CudaBackend::do_cross_entropy_end(Tensor loss, Tensor lse, Tensor running) {
  check(kernels::cross_entropy_end(address<float>(loss), address<float>(lse),
                                   address<float>(running), running.rows(), queue_),
        "cross_entropy_end");
}

void CudaBackend::do_cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets,
                                            std::int64_t first, float scale) {
  check(kernels::cross_entropy_backward(storage(dz.dtype()), out(dz), in(z), address<float>(lse),
                                        address<std::int32_t>(targets), first, scale, z.rows(),
                                        z.cols(), queue_),
        "cross_entropy_backward");
}

}  // namespace lomo::cuda

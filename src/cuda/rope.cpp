#include "kernels/rope.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation) {
  const std::int64_t half = inv_freq.rows();
  check(kernels::rope(storage(x.dtype()), out(x), address<std::int32_t>(positions),
                      address<float>(inv_freq), x.rows(), x.cols() / (2 * half), half,
                      rotation == Rotation::forward ? 1 : -1, queue_),
        "rope");
}

}  // namespace lomo::cuda

#include "kernels/rope.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation,
                          RopeHeads heads) {
  const kernels::RopeShape shape{x.rows(), x.cols() / heads.width, heads.width, inv_freq.rows()};
  check(kernels::rope(storage(x.dtype()), out(x), address<std::int32_t>(positions),
                      address<float>(inv_freq), shape, rotation == Rotation::forward ? 1 : -1,
                      heads.scale, queue_),
        "rope");
}

}  // namespace lomo::cuda

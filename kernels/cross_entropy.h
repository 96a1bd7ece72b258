#pragma once
#include "launch.h"

namespace lomo::kernels {

/// running (rows,3) f32 dense: max = -inf, sum = 0, target = 0.
cudaError_t cross_entropy_begin(float* running, std::int64_t rows, cudaStream_t stream);

/// Takes logits z (rows,cols) f32 of vocabulary rows [first, first + cols) into `running`; its
/// third column receives the logit of targets[i] when it lies in the block.
cudaError_t cross_entropy_block(float* running, In z, std::int32_t const* targets,
                                std::int64_t first, std::int64_t rows, std::int64_t cols,
                                cudaStream_t stream, Variant variant = Variant::tuned);

/// lse = max + log(sum), loss = lse - target.   (rows) f32.
cudaError_t cross_entropy_end(float* loss, float* lse, float const* running, std::int64_t rows,
                              cudaStream_t stream);

/// dz (rows,cols) = scale (exp(z - lse) - [first + j == targets[i]]); dz may be z when it is f32.
cudaError_t cross_entropy_backward(Storage type, Out dz, In z, float const* lse,
                                   std::int32_t const* targets, std::int64_t first, float scale,
                                   std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                                   Variant variant = Variant::tuned);

}  // namespace lomo::kernels

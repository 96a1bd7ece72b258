#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

/// Widest head.
inline constexpr std::int64_t kMaxNormedHead = 256;

/// rmsnorm of each head by itself: y = x * rstd * w, rstd (rows, heads) f32 over the `width`
/// columns of a head.   x, y (rows, heads width), w (width). y may be x. Refuses width above 256.
cudaError_t head_norm(Storage type, Out y, float* rstd, In x, void const* w, float eps,
                      std::int64_t rows, std::int64_t heads, std::int64_t width,
                      cudaStream_t stream);

/// dx = [residual] + d/dx;  dw (width) f32 = sum over rows and heads, runs of rows in order.
/// dx may be dy or residual. Null `dw`: not made, `workspace` unused. Null residual.data: none.
cudaError_t head_norm_backward(Storage type, Out dx, float* dw, In dy, In x, void const* w,
                               float const* rstd, In residual, void* workspace, std::int64_t rows,
                               std::int64_t heads, std::int64_t width, cudaStream_t stream);

}  // namespace lomo::kernels

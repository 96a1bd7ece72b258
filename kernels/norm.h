#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

/// y = x * rstd * w,  rstd (rows) f32 = 1 / sqrt(mean(x^2) + eps).   x, y (rows,cols), w (cols).
cudaError_t rmsnorm(Storage type, Out y, float* rstd, In x, void const* w, float eps,
                    std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                    Variant variant = Variant::tuned);

/// dx = [residual] + d/dx;  dw (cols) f32 = sum over rows, runs of rows in order.
/// dx may be dy or residual. Null `dw`: not made, `workspace` unused. Null residual.data: none.
cudaError_t rmsnorm_backward(Storage type, Out dx, float* dw, In dy, In x, void const* w,
                             float const* rstd, In residual, void* workspace, std::int64_t rows,
                             std::int64_t cols, cudaStream_t stream,
                             Variant variant = Variant::tuned);

}  // namespace lomo::kernels

#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

/// y = bias (cols) in every row [+ x].   y, x (rows,cols); null x.data: none. y may be x.
cudaError_t add_bias(Storage type, Out y, void const* bias, In x, std::int64_t rows,
                     std::int64_t cols, cudaStream_t stream, Variant variant = Variant::tuned);

/// sum (cols) f32 = the rows of dy (rows,cols) added up, runs of rows in order.
/// `workspace`: sum_columns_workspace bytes.
cudaError_t sum_columns(Storage type, float* sum, In dy, void* workspace, std::int64_t rows,
                        std::int64_t cols, cudaStream_t stream);

/// y = factor x [+ residual].   All (rows,cols); null residual.data: none. y may be x or residual.
cudaError_t scale(Storage type, Out y, In x, float factor, In residual, std::int64_t rows,
                  std::int64_t cols, cudaStream_t stream, Variant variant = Variant::tuned);

}  // namespace lomo::kernels

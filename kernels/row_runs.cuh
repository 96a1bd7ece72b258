#pragma once
// Sums over the rows of a matrix: runs of rows apart, then the runs in one fixed order.
#include "launch.cuh"
#include "workspace.h"

namespace lomo::kernels {

/// sum (cols) = the sum of partial (runs,cols), f32: eight groups of runs, each in order, then the
/// groups in order.
cudaError_t sum_runs(float* sum, float const* partial, std::int64_t runs, std::int64_t cols,
                     cudaStream_t stream);

}  // namespace lomo::kernels

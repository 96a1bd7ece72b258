#pragma once
#include <cstddef>

#include "launch.h"

namespace lomo::kernels {

/// Bytes of device scratch of the sums below over a (rows,cols) matrix.
std::size_t measure_workspace(std::int64_t rows, std::int64_t cols);

/// stats (2) f64: stats[0] += sum of (scale g)^2 over finite elements, stats[1] += number of the
/// others, row after row: a matrix measured in tiles of rows gives the same bits however it is cut.
/// g (rows,cols) f32.
cudaError_t measure(double* stats, In g, float scale, void* workspace, std::int64_t rows,
                    std::int64_t cols, cudaStream_t stream, Variant variant = Variant::tuned);

/// total[0] += sum of x (n) f32.
cudaError_t sum(double* total, float const* x, std::int64_t n, cudaStream_t stream);

}  // namespace lomo::kernels

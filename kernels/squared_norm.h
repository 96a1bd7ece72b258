#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

// `workspace` is of the size that workspace.h gives for the function.

/// stats (2) f64: stats[0] += sum of (scale g)^2 over finite elements, stats[1] += number of the
/// others, row after row: a matrix measured in tiles of rows gives the same bits however it is cut.
/// g (rows,cols) f32.
cudaError_t accumulate_squared_norm(double* stats, In g, float scale, void* workspace,
                                    std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                                    Variant variant = Variant::tuned);

/// sums (2) f64: sums[0] += weight * sum of a b, sums[1] += weight * |a| |b|, row after row.
/// a, b (rows,cols) f32. Anything not finite makes sums[0] so.
cudaError_t inner_product(double* sums, In a, In b, double weight, void* workspace,
                          std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                          Variant variant = Variant::tuned);

/// total[0] += sum of x (n) f32.
cudaError_t sum(double* total, float const* x, std::int64_t n, cudaStream_t stream);

}  // namespace lomo::kernels

#pragma once
#include "launch.h"

namespace lomo::kernels {

/// out (rows,cols) f32 = sum over ranks q of rows [q rows, (q + 1) rows) of parts (ranks
/// rows,cols), added in that order.
cudaError_t sum_partials(Storage type, Out out, In partials, std::int64_t ranks, std::int64_t rows,
                         std::int64_t cols, cudaStream_t stream, Variant variant = Variant::tuned);
/// The same of f64 into f64.
cudaError_t sum_partials(double* out, std::int64_t out_pitch, double const* partials,
                         std::int64_t partials_pitch, std::int64_t ranks, std::int64_t rows,
                         std::int64_t cols, cudaStream_t stream);

/// running (rows,3), as cross_entropy_block leaves it, of all that parts (ranks rows,3) are of.
/// Both f32 and dense.
cudaError_t cross_entropy_merge(float* running, float const* partials, std::int64_t ranks,
                                std::int64_t rows, cudaStream_t stream);

}  // namespace lomo::kernels

#pragma once
#include "launch.h"

namespace lomo::kernels {

/// Turns each pair (x[i], x[i + half]) of every head by direction * positions[n] * inv_freq[i],
/// in place.   x (rows, heads 2 half), positions (rows), inv_freq (half) f32; direction 1 or -1.
/// Refuses half above 512.
cudaError_t rope(Storage type, Out x, std::int32_t const* positions, float const* inv_freq,
                 std::int64_t rows, std::int64_t heads, std::int64_t half, int direction,
                 cudaStream_t stream, Variant variant = Variant::tuned);

}  // namespace lomo::kernels

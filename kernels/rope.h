#pragma once
#include "launch.h"

namespace lomo::kernels {

/// Of a matrix (rows, heads width), of whose heads the first 2 half columns turn.
struct RopeShape {
  std::int64_t rows, heads, width, half;
};
/// Turns each pair (x[i], x[i + half]) of every head by direction * positions[n] * inv_freq[i] and
/// multiplies it by `scale`, in place.   positions (rows), inv_freq (half) f32; direction 1 or -1.
/// Refuses half above 512.
cudaError_t rope(Storage type, Out x, std::int32_t const* positions, float const* inv_freq,
                 RopeShape const& shape, int direction, float scale, cudaStream_t stream,
                 Variant variant = Variant::tuned);

}  // namespace lomo::kernels

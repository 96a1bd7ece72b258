#pragma once
#include "launch.h"

namespace lomo::kernels {

/// Element types of convert.
enum class Number : std::uint8_t { f32, bf16, f16, f64 };

/// dst (rows,cols) = src, rounded to nearest. dst and src do not overlap.
cudaError_t convert(Number to, Out dst, Number from, In src, std::int64_t rows, std::int64_t cols,
                    cudaStream_t stream, Variant variant = Variant::tuned);

}  // namespace lomo::kernels

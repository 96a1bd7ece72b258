#pragma once
#include <cstdint>
#include <string>

#include "lomo/core/dtype.h"

/// What attention of one head width and storage type runs on: tiles on tensor cores, or the simple
/// kernels, which are right for any width up to 256 and slow.
namespace lomo::cuda {

bool has_tiled_attention(std::int64_t width, DType type);

/// Flops a second of the simple kernels over the GPU's f32 rate, width / 1340, by counting: a
/// visible pair of a head takes a warp 16 loads and 5 shuffles forward (4 width flops), twice 16
/// loads and 10 shuffles backward (10 width flops), one a clock, while a multiprocessor's f32 rate
/// is 256 flops a clock.
double simple_attention_share(std::int64_t width);

/// One sentence for the user where attention has no tiles: why, and what that costs. Else empty.
std::string slow_attention(std::int64_t width, DType type);

}  // namespace lomo::cuda

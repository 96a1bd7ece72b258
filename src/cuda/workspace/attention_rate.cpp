#include "lomo/cuda/attention_rate.h"

#include <cmath>

#include "kernels/workspace.h"

namespace lomo::cuda {

namespace {

constexpr std::int64_t kSharedOfBlock = 99;  // KiB that sm_86 and sm_89 give a block

}  // namespace

bool has_tiled_attention(std::int64_t width, DType type) {
  return kernels::attention_has_tiles(width, size_of(type));
}

double simple_attention_share(std::int64_t width) {
  return static_cast<double>(width) / 1340;
}

std::string slow_attention(std::int64_t width, DType type) {
  if (has_tiled_attention(width, type)) return {};
  std::string why = "heads of width " + std::to_string(width) + " have no tiles for tensor cores";
  const std::int64_t shared = kernels::attention_backward_shared(width) / 1024;
  if (type == DType::f32) {
    why = "it has tiles for bf16 and f16 only";
  } else if (shared > kSharedOfBlock) {
    why += " (a block of its backward would take " + std::to_string(shared) +
           " KiB of shared memory, of the " + std::to_string(kSharedOfBlock) +
           " there are on an RTX 3090 or 4090)";
  }
  const auto part = std::llround(1 / simple_attention_share(width));
  return "attention takes the simple kernels on the GPU, at about 1/" + std::to_string(part) +
         " of the f32 rate: " + why;
}

}  // namespace lomo::cuda

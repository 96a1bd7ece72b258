#include "operands.h"

#include <algorithm>

namespace lomo::bench {

Tensor Operands::hold(Shape shape, DType type) {
  held_.push_back(backend_.allocate(shape, type, Category::workspace, "benchmark"));
  return held_.back();
}

Tensor Operands::zeros(Shape shape, DType type) {
  const Tensor x = hold(shape, type);
  backend_.zero(x);
  return x;
}

Tensor Operands::numbers(Shape shape, DType type) {
  const Tensor x = hold(shape, type);
  // A stretch of numbers, again and again: making as many as a large matrix has would take longer
  // than the benchmark.
  constexpr std::int64_t kStretch = 1 << 16;
  const std::int64_t n = x.numel();
  std::vector<float> host(static_cast<std::size_t>(std::min(n, kStretch)));
  std::uint32_t state = 12345;
  for (float& v : host) {
    state = state * 1664525u + 1013904223u;
    v = static_cast<float>(state >> 8) * 0x1p-23f - 1.0f;
  }
  const Buffer stretch = backend_.allocate(Shape(static_cast<std::int64_t>(host.size())),
                                           DType::f32, Category::workspace, "benchmark");
  backend_.upload(stretch, std::as_bytes(std::span(host)));
  const Tensor flat = x.reshaped(Shape(n));
  for (std::int64_t i = 0; i < n; i += kStretch) {
    const std::int64_t here = std::min(kStretch, n - i);
    backend_.copy(flat.row_block(i, here), stretch.tensor().row_block(0, here));
  }
  return x;
}

Tensor Operands::integers(std::int64_t n, std::function<std::int64_t(std::int64_t)> const& value) {
  std::vector<std::int32_t> host;
  for (std::int64_t i = 0; i < n; ++i) host.push_back(static_cast<std::int32_t>(value(i)));
  const Tensor x = hold(Shape(n), DType::i32);
  backend_.upload(x, std::as_bytes(std::span(host)));
  return x;
}

std::span<std::byte> Operands::host_bytes(std::size_t n) {
  return host_.emplace_back(n);
}

}  // namespace lomo::bench

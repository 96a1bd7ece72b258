#pragma once
#include <span>
#include <vector>

#include "lomo/backend/backend.h"

namespace lomo {

/// A host vector as an engine vector.
template <class T>
Buffer to_engine(Backend& backend, std::vector<T> const& values, char const* what) {
  Buffer buffer = backend.allocate(Shape(static_cast<std::int64_t>(values.size())), dtype_of<T>,
                                   Category::activations, what);
  backend.upload(buffer, std::as_bytes(std::span(values)));
  return buffer;
}

/// f32 engine values as a host vector. Blocks.
inline std::vector<float> to_host(Backend& backend, Tensor values) {
  std::vector<float> host(static_cast<std::size_t>(values.numel()));
  backend.download(std::as_writable_bytes(std::span(host)), values);
  return host;
}

}  // namespace lomo

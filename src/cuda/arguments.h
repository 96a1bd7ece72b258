#pragma once
#include <cstdint>

#include "kernels/launch.h"
#include "lomo/core/error.h"
#include "lomo/core/tensor.h"

/// Tensors as the kernels' launchers take them.
namespace lomo::cuda {

inline kernels::Out out(Tensor t) {
  return {t.raw(), t.pitch()};
}
inline kernels::In in(Tensor t) {
  return {t.raw(), t.pitch()};
}

/// The device address of elements of a known type, null for no tensor.
template <class T>
T* address(Tensor t) {
  if (!t) return nullptr;
  if (t.dtype() != dtype_of<T>) throw Error("a kernel is given a tensor of another type");
  return static_cast<T*>(t.raw());
}

inline kernels::Storage storage(DType type) {
  switch (type) {
    case DType::f32:
      return kernels::Storage::f32;
    case DType::bf16:
      return kernels::Storage::bf16;
    case DType::f16:
      return kernels::Storage::f16;
    case DType::i32:
    case DType::f64:
      break;
  }
  throw Error("a kernel is given " + std::string(to_string(type)) + " where weights can be stored");
}

}  // namespace lomo::cuda

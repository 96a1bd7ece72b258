#pragma once
#include <string>

#include "lomo/core/dtype.h"
#include "lomo/core/error.h"

namespace lomo::cpu {

/// Calls f with a value of the storage type: f(float{}), f(bf16{}) or f(f16{}).
template <class F>
void dispatch(DType type, F&& f) {
  switch (type) {
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::f16:
      return f(f16{});
    default:
      throw Error("the CPU engine does not compute in " + std::string(to_string(type)));
  }
}

}  // namespace lomo::cpu

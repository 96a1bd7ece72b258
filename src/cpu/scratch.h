#pragma once
#include <cstddef>

#include "lomo/core/error.h"
#include "lomo/core/tensor.h"
#include "lomo/cpu/workspace.h"

namespace lomo::cpu {

/// An operation's block of workspace, handed out from the front. A copy starts where the original
/// stands, so a callee that is given one leaves the caller's untouched.
class Scratch {
 public:
  explicit Scratch(Tensor block)
      : next_(static_cast<std::byte*>(block.raw())), left_(block.bytes()) {}

  Tensor take(Shape shape, DType type) {
    const std::size_t bytes = workspace::chunk(shape.numel(), type);
    if (bytes > left_) {
      throw Error("an operation wants " + std::to_string(bytes) + " bytes of workspace where " +
                  std::to_string(left_) + " are left of what lomo/cpu/workspace.h declares");
    }
    std::byte* const at = next_;
    next_ += bytes;
    left_ -= bytes;
    return Tensor(at, shape, type, Device::cpu);
  }
  template <class T>
  T* take(std::int64_t numel) {
    return take(Shape(numel), dtype_of<T>).template data<T>();
  }

 private:
  std::byte* next_;
  std::size_t left_;
};

}  // namespace lomo::cpu

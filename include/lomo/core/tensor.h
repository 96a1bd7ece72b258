#pragma once
#include <cstddef>
#include <cstdint>

#include "lomo/core/dtype.h"
#include "lomo/core/shape.h"

namespace lomo {

enum class Device : std::uint8_t { cpu, cuda, dry };

/// Non-owning typed view: a vector (n) or a row-major matrix (rows, cols) with a row pitch in
/// elements. Trivially copyable; pass by value. A Buffer owns what it points to.
class Tensor {
 public:
  Tensor() = default;
  /// Dense: pitch == cols.
  Tensor(void* data, Shape shape, DType dtype, Device device)
      : Tensor(data, shape, shape.rank() == 2 ? shape.cols() : 1, dtype, device) {}
  Tensor(void* data, Shape shape, std::int64_t pitch, DType dtype, Device device)
      : data_(data), shape_(shape), pitch_(pitch), dtype_(dtype), device_(device) {}

  Shape shape() const { return shape_; }
  std::int64_t rows() const { return shape_.rows(); }
  std::int64_t cols() const { return shape_.cols(); }
  std::int64_t numel() const { return shape_.numel(); }
  std::int64_t pitch() const { return pitch_; }
  bool dense() const { return pitch_ == shape_.cols() || shape_.rows() <= 1; }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  /// Bytes of the elements, gaps of the pitch not counted.
  std::size_t bytes() const { return static_cast<std::size_t>(numel()) * size_of(dtype_); }
  /// False for the default-constructed tensor, which stands for "none" in optional arguments.
  explicit operator bool() const { return pitch_ != 0; }

  /// The address; a device address on Device::cuda, null on Device::dry.
  void* raw() const { return data_; }
  /// Typed address on Device::cpu. Throws unless T matches dtype() and the device is the CPU.
  template <class T>
  T* data() const {
    require_host(dtype_of<T>);
    return static_cast<T*>(data_);
  }

  /// Rows [first, first + count).
  Tensor row_block(std::int64_t first, std::int64_t count) const;
  /// Columns [first, first + count) of a matrix; keeps the pitch.
  Tensor col_block(std::int64_t first, std::int64_t count) const;
  /// The same dense elements under another shape of equal numel.
  Tensor reshaped(Shape shape) const;

 private:
  void require_host(DType wanted) const;

  void* data_ = nullptr;
  Shape shape_;
  std::int64_t pitch_ = 0;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
};

}  // namespace lomo

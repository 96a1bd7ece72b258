#include "lomo/core/tensor.h"

#include <string>

#include "lomo/core/error.h"

namespace lomo {

std::string Shape::str() const {
  if (rank_ == 1) return "(" + std::to_string(dims_[0]) + ")";
  return "(" + std::to_string(dims_[0]) + ", " + std::to_string(dims_[1]) + ")";
}

namespace {

void require_range(char const* what, std::int64_t first, std::int64_t count, std::int64_t extent) {
  if (first < 0 || count < 0 || first + count > extent) {
    throw Error(std::string(what) + " [" + std::to_string(first) + ", " +
                std::to_string(first + count) + ") is not inside " + std::to_string(extent));
  }
}

void* advance(void* data, std::int64_t elements, DType dtype) {
  if (data == nullptr) return nullptr;
  return static_cast<std::byte*>(data) + elements * static_cast<std::int64_t>(size_of(dtype));
}

}  // namespace

Tensor Tensor::row_block(std::int64_t first, std::int64_t count) const {
  require_range("row block", first, count, rows());
  const Shape shape = shape_.rank() == 2 ? Shape(count, cols()) : Shape(count);
  return Tensor(advance(data_, first * pitch_, dtype_), shape, pitch_, dtype_, device_);
}

Tensor Tensor::col_block(std::int64_t first, std::int64_t count) const {
  require_range("column block", first, count, cols());
  return Tensor(advance(data_, first, dtype_), Shape(rows(), count), pitch_, dtype_, device_);
}

Tensor Tensor::reshaped(Shape shape) const {
  if (!dense() || shape.numel() != numel()) {
    throw Error("tensor " + shape_.str() + " cannot be seen as " + shape.str());
  }
  return Tensor(data_, shape, dtype_, device_);
}

void Tensor::require_host(DType wanted) const {
  if (device_ != Device::cpu) throw Error("tensor " + shape_.str() + " is not in host memory");
  if (dtype_ != wanted) {
    throw Error("tensor " + shape_.str() + " holds " + std::string(to_string(dtype_)) + ", not " +
                std::string(to_string(wanted)));
  }
}

}  // namespace lomo

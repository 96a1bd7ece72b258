#pragma once
// Kernels on the emulated device: matrices with a pitch on it, and runs under several orders.
#include <cuda_runtime_api.h>

#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "cuda_host/control.h"
#include "cuda_host/orders.h"
#include "kernels/launch.h"
#include "lomo/core/dtype.h"
#include "support/catch.h"
#include "support/tensors.h"

namespace lomo::test {

inline void require(cudaError_t error) {
  if (error != cudaSuccess) FAIL(cudaGetErrorName(error) << " " << cuda_host::report());
}

inline kernels::Storage storage_of(DType type) {
  if (type == DType::bf16) return kernels::Storage::bf16;
  return type == DType::f16 ? kernels::Storage::f16 : kernels::Storage::f32;
}

/// Device memory with the numbers of `values`, as T.
template <class T>
class DeviceVector {
 public:
  explicit DeviceVector(std::vector<T> const& values) : size_(values.size()) {
    require(cudaMalloc(&data_, bytes() + 16));
    require(cudaMemcpy(data_, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  DeviceVector(DeviceVector const&) = delete;  // owns device memory
  DeviceVector& operator=(DeviceVector const&) = delete;
  ~DeviceVector() { cudaFree(data_); }
  operator T*() const { return static_cast<T*>(data_); }
  std::vector<T> get() const {
    std::vector<T> values(size_);
    require(cudaMemcpy(values.data(), data_, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }

 private:
  std::size_t bytes() const { return size_ * sizeof(T); }
  std::size_t size_;
  void* data_ = nullptr;
};

/// Scratch of a kernel, full of bytes that make NaN.
inline DeviceVector<unsigned char> scratch(std::size_t bytes) {
  return DeviceVector<unsigned char>(std::vector<unsigned char>(bytes, 0xff));
}

/// A (rows,cols) matrix of a storage type whose rows lie `gap` elements further apart, from element
/// `shift` on; what is not given, and the gaps, is NaN.
class DeviceMatrix {
 public:
  DeviceMatrix(DType type, std::int64_t rows, std::int64_t cols, std::int64_t gap = 0,
               std::int64_t shift = 0)
      : type_(type), rows_(rows), cols_(cols), pitch_(cols + gap), shift_(shift) {
    write(std::vector<float>(static_cast<std::size_t>(rows * cols),
                             std::numeric_limits<float>::quiet_NaN()));
  }
  DeviceMatrix(DType type, std::int64_t rows, std::int64_t cols, std::vector<float> const& values,
               std::int64_t gap = 0, std::int64_t shift = 0)
      : type_(type), rows_(rows), cols_(cols), pitch_(cols + gap), shift_(shift) {
    write(values);
  }
  operator kernels::Out() const { return {address(), pitch_}; }
  operator kernels::In() const { return {address(), pitch_}; }
  void* address() const {
    return static_cast<unsigned char*>(*bytes_) +
           shift_ * static_cast<std::int64_t>(size_of(type_));
  }
  /// The elements in row order. Fails when a gap was written to.
  std::vector<double> get() const {
    std::vector<double> values;
    const std::vector<unsigned char> raw = bytes_->get();
    const std::size_t size = size_of(type_);
    for (std::int64_t i = 0; i < rows_ * pitch_; ++i) {
      unsigned char const* const at = raw.data() + static_cast<std::size_t>(i + shift_) * size;
      if (i % pitch_ < cols_) {
        values.push_back(number(at));
      } else if (!std::isnan(number(at))) {
        FAIL("row " << i / pitch_ << ": the gap at column " << i % pitch_ << " was written to");
      }
    }
    return values;
  }

 private:
  double number(unsigned char const* at) const {
    float f = 0;
    std::uint16_t half = 0;
    std::memcpy(&half, at, sizeof half);
    if (type_ == DType::f32) std::memcpy(&f, at, sizeof f);
    if (type_ == DType::bf16) f = to_float(bf16{half});
    if (type_ == DType::f16) f = to_float(f16{half});
    return static_cast<double>(f);
  }
  void write(std::vector<float> const& values) {
    const std::size_t size = size_of(type_);
    std::vector<unsigned char> raw(static_cast<std::size_t>(rows_ * pitch_ + shift_) * size, 0xff);
    for (std::int64_t i = 0; i < rows_ * cols_; ++i) {
      const auto place = static_cast<std::size_t>(shift_ + i / cols_ * pitch_ + i % cols_) * size;
      const float f = values[static_cast<std::size_t>(i)];
      const std::uint16_t half = type_ == DType::bf16 ? to_bf16(f).bits : to_f16(f).bits;
      if (type_ == DType::f32) {
        std::memcpy(&raw[place], &f, sizeof f);
      } else {
        std::memcpy(&raw[place], &half, sizeof half);
      }
    }
    bytes_.emplace(raw);
  }

  DType type_;
  std::int64_t rows_, cols_, pitch_, shift_;
  std::optional<DeviceVector<unsigned char>> bytes_;
};

using Results = std::vector<std::vector<double>>;

/// Runs f, which uses the device afresh and returns what it computed, under each of the orders; all
/// must give the same bits, which are returned, and report nothing.
template <class F>
Results in_all_orders(
    F&& f, std::vector<cuda_host::NamedPolicy> const& orders = cuda_host::thread_orders()) {
  Results first;
  for (std::size_t i = 0; i < orders.size(); ++i) {
    cuda_host::reset(orders[i].policy);
    Results results = f();
    INFO(orders[i].name);
    REQUIRE(cuda_host::report() == "");
    if (i == 0) {
      first = std::move(results);
      continue;
    }
    REQUIRE(results.size() == first.size());
    for (std::size_t k = 0; k < first.size(); ++k) {
      REQUIRE(results[k].size() == first[k].size());
      const bool same =
          std::memcmp(results[k].data(), first[k].data(), first[k].size() * sizeof(double)) == 0;
      INFO("result " << k);
      REQUIRE(same);
    }
  }
  return first;
}

/// How a matrix is laid out so that each kind of kernel is met: dense and aligned, dense and
/// aligned but asked for one element at a time, with gaps, off by one element.
struct Layout {
  char const* name;
  kernels::Variant variant;
  std::int64_t gap, shift;
};
inline std::vector<Layout> layouts() {
  using kernels::Variant;
  return {{"dense", Variant::tuned, 0, 0},
          {"one by one", Variant::simple, 0, 0},
          {"aligned gaps", Variant::tuned, 16, 8},
          {"odd gaps", Variant::tuned, 3, 1}};
}

}  // namespace lomo::test

#pragma once
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/core/random.h"

/// Engine tensors from host vectors and back, and contents for tests.
namespace lomo::test {

/// n numbers uniform in [-scale, scale), the same for the same name.
inline std::vector<float> random_values(std::string_view name, std::int64_t n, float scale = 1) {
  RandomStream stream(random_key(0, "test", name, 0));
  std::vector<float> values(static_cast<std::size_t>(n));
  for (float& v : values) v = scale * static_cast<float>(2 * stream.uniform() - 1);
  return values;
}

/// The numbers as they are after rounding to `type` (nearest).
inline std::vector<float> rounded(std::vector<float> values, DType type) {
  for (float& v : values) {
    if (type == DType::bf16) v = to_float(to_bf16(v));
    if (type == DType::f16) v = to_float(to_f16(v));
  }
  return values;
}

/// Writes host numbers into a tensor of any type but i32, rounding to nearest.
template <class T>
void fill(Backend& backend, Tensor t, std::vector<T> const& values) {
  const auto put = [&](auto zero) {
    using Stored = decltype(zero);
    std::vector<Stored> stored;
    stored.reserve(values.size());
    for (const T v : values) {
      if constexpr (std::is_same_v<Stored, T>) {
        stored.push_back(v);
      } else if constexpr (std::is_arithmetic_v<Stored>) {
        stored.push_back(static_cast<Stored>(v));
      } else {
        stored.push_back(round_to<Stored>(static_cast<float>(v)));
      }
    }
    backend.upload(t, std::as_bytes(std::span(stored)));
  };
  switch (t.dtype()) {
    case DType::f32:
      return put(float{});
    case DType::bf16:
      return put(bf16{});
    case DType::f16:
      return put(f16{});
    case DType::i32:
      return put(std::int32_t{});
    case DType::f64:
      return put(double{});
  }
}

/// A new tensor with these numbers.
template <class T>
Buffer make(Backend& backend, Shape shape, DType type, std::vector<T> const& values) {
  Buffer buffer = backend.allocate(shape, type, Category::activations, "test");
  fill(backend, buffer.tensor(), values);
  return buffer;
}
/// A new vector of row numbers.
inline Buffer make_index(Backend& backend, std::vector<std::int32_t> const& values) {
  return make(backend, Shape(static_cast<std::int64_t>(values.size())), DType::i32, values);
}

/// Every element NaN (INT32_MIN in i32): outputs start like this, so what an op forgets to write is
/// seen.
inline void poison(Backend& backend, Tensor t) {
  const auto n = static_cast<std::size_t>(t.numel());
  if (t.dtype() == DType::i32) {
    fill(backend, t, std::vector(n, std::numeric_limits<std::int32_t>::min()));
  } else {
    fill(backend, t, std::vector(n, std::numeric_limits<float>::quiet_NaN()));
  }
}

/// A new tensor full of NaN.
inline Buffer make_poisoned(Backend& backend, Shape shape, DType type) {
  Buffer buffer = backend.allocate(shape, type, Category::activations, "test");
  poison(backend, buffer.tensor());
  return buffer;
}

/// The elements in row order, gaps of the pitch left out, as stored. T must match the type.
template <class T>
std::vector<T> raw_values(Backend& backend, Tensor t) {
  std::vector<T> values(static_cast<std::size_t>(t.numel()));
  backend.download(std::as_writable_bytes(std::span(values)), t);
  return values;
}

/// The elements in row order as double, from any type.
inline std::vector<double> values(Backend& backend, Tensor t) {
  std::vector<double> out;
  const auto take = [&](auto zero) {
    using Stored = decltype(zero);
    for (const Stored v : raw_values<Stored>(backend, t)) {
      if constexpr (std::is_arithmetic_v<Stored>) {
        out.push_back(static_cast<double>(v));
      } else {
        out.push_back(static_cast<double>(to_float(v)));
      }
    }
  };
  switch (t.dtype()) {
    case DType::f32:
      take(float{});
      break;
    case DType::bf16:
      take(bf16{});
      break;
    case DType::f16:
      take(f16{});
      break;
    case DType::i32:
      take(std::int32_t{});
      break;
    case DType::f64:
      take(double{});
      break;
  }
  return out;
}

/// The stored bytes in row order: for "same bits".
inline std::vector<std::byte> bits(Backend& backend, Tensor t) {
  std::vector<std::byte> out(t.bytes());
  backend.download(out, t);
  return out;
}

/// Half the distance of neighbouring numbers of the type near 1: one rounding changes x by at most
/// unit_roundoff * |x| (normal range).
inline double unit_roundoff(DType type) {
  switch (type) {
    case DType::f32:
      return 0x1p-24;
    case DType::bf16:
      return 0x1p-8;
    case DType::f16:
      return 0x1p-11;
    case DType::f64:
      return 0x1p-53;
    case DType::i32:
      break;
  }
  return 0;
}

/// What one rounding may change besides, where the type's numbers are subnormal: half their
/// distance. Nothing for the others, whose subnormal range no test comes near.
inline double subnormal_roundoff(DType type) {
  return type == DType::f16 ? 0x1p-25 : 0;
}

/// gamma_n = n u / (1 - n u): the relative error of a sum of n products in f32, in any order,
/// against the sum of the absolute values.
inline double gamma_f32(std::int64_t n) {
  const double nu = static_cast<double>(n) * 0x1p-24;
  return nu / (1 - nu);
}

}  // namespace lomo::test

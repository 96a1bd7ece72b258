#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>

namespace lomo {

/// Element types of tensors. Weights and activations are f32, bf16 or f16; i32 holds ids and row
/// lists; f64 holds sums that decide something (norms, flags).
enum class DType : std::uint8_t { f32, bf16, f16, i32, f64 };

constexpr std::size_t size_of(DType type) {
  switch (type) {
    case DType::f64:
      return 8;
    case DType::f32:
    case DType::i32:
      return 4;
    case DType::bf16:
    case DType::f16:
      return 2;
  }
  return 0;  // unreachable; -Wswitch guards new enumerators
}

/// "f32", "bf16", ... as users write them in configs.
std::string_view to_string(DType type);
/// Inverse of to_string; also accepts "float32", "bfloat16", "float16" as Hugging Face writes them.
std::optional<DType> parse_dtype(std::string_view text);

/// bfloat16 storage: the upper half of an f32. Arithmetic is always done in f32.
struct bf16 {
  std::uint16_t bits;
};
/// IEEE binary16 storage.
struct f16 {
  std::uint16_t bits;
};

inline float to_float(float x) {
  return x;
}
inline float to_float(bf16 x) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(x.bits) << 16);
}
/// Exact.
float to_float(f16 x);

/// Nearest, ties to even; NaN stays NaN, overflow goes to infinity.
inline bf16 to_bf16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}
f16 to_f16(float x);

/// Rounds f32 to storage type T, nearest.
template <class T>
T round_to(float x);
template <>
inline float round_to<float>(float x) {
  return x;
}
template <>
inline bf16 round_to<bf16>(float x) {
  return to_bf16(x);
}
template <>
inline f16 round_to<f16>(float x) {
  return to_f16(x);
}

template <class T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<bf16> {
  static constexpr DType value = DType::bf16;
};
template <>
struct DTypeOf<f16> {
  static constexpr DType value = DType::f16;
};
template <>
struct DTypeOf<std::int32_t> {
  static constexpr DType value = DType::i32;
};
template <>
struct DTypeOf<double> {
  static constexpr DType value = DType::f64;
};
template <class T>
inline constexpr DType dtype_of = DTypeOf<std::remove_cv_t<T>>::value;

}  // namespace lomo

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
/// Exact. Without branches, so that loops over it become vector code, and without a denormal f32 on
/// the way, so that it is exact where those are flushed.
inline float to_float(f16 x) {
  constexpr std::uint32_t kRebias = 112u << 23;  // of the exponents: 127 - 15
  const std::uint32_t magnitude = static_cast<std::uint32_t>(x.bits & 0x7fffu) << 13;
  const std::uint32_t sign = static_cast<std::uint32_t>(x.bits & 0x8000u) << 16;
  const std::uint32_t normal = magnitude + kRebias;
  // Zero and subnormals, m 2^-24, get the exponent of 2^-14 and are then freed of it.
  const float small = std::bit_cast<float>(normal + (1u << 23)) - 0x1p-14f;
  const std::uint32_t large = magnitude >= (31u << 23) ? normal + kRebias : normal;
  const std::uint32_t bits = magnitude < (1u << 23) ? std::bit_cast<std::uint32_t>(small) : large;
  return std::bit_cast<float>(bits | sign);
}

/// Nearest, ties to even; NaN stays NaN, overflow goes to infinity.
inline bf16 to_bf16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  if ((u & 0x7fffffffu) > 0x7f800000u) return {static_cast<std::uint16_t>((u >> 16) | 0x40u)};
  return {static_cast<std::uint16_t>((u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
}
inline f16 to_f16(float x) {
  const auto u = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t magnitude = u & 0x7fffffffu;
  const std::uint32_t normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  // Below 2^-14 results are multiples of 2^-24, which is what 0.5 + x is rounded to.
  const std::uint32_t small =
      std::bit_cast<std::uint32_t>(std::bit_cast<float>(magnitude) + 0.5f) - 0x3f000000u;
  const std::uint32_t nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  const std::uint32_t large = magnitude > 0x7f800000u ? nan : 0x7c00u;
  const std::uint32_t finite = magnitude < 0x38800000u ? small : normal;
  // From 65536 on infinity; a carry out of 65504 has given it already.
  const std::uint32_t bits = magnitude >= 0x47800000u ? large : finite;
  return {static_cast<std::uint16_t>(bits | ((u >> 16) & 0x8000u))};
}

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

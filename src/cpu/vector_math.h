#pragma once
// Vectors of floats, for the kernel files alone: each of them compiles this header for its own
// instruction set, so everything here is internal to the file that includes it.
#include <cstdint>

#include "lomo/core/dtype.h"
#if defined(__F16C__)
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own AVX-512 headers start values from themselves (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

namespace lomo::cpu {
namespace {

#define LOMO_KERNEL inline __attribute__((always_inline))
#define LOMO_KERNEL_LAMBDA __attribute__((always_inline))

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif

using Vec = float __attribute__((vector_size(kLanes * 4)));
using IntVec = std::int32_t __attribute__((vector_size(kLanes * 4)));
using UintVec = std::uint32_t __attribute__((vector_size(kLanes * 4)));
using HalfVec = std::uint16_t __attribute__((vector_size(kLanes * 2)));
using WideVec = double __attribute__((vector_size(kLanes * 8)));

LOMO_KERNEL Vec splat(float x) {
  return Vec{} + x;
}
LOMO_KERNEL IntVec splat(std::int32_t x) {
  return IntVec{} + x;
}
template <class To, class From>
LOMO_KERNEL To bits_of(From from) {
  static_assert(sizeof(To) == sizeof(From));
  To to;
  __builtin_memcpy(&to, &from, sizeof to);
  return to;
}

/// The values of kLanes elements; the conversions from 16 bits are exact.
LOMO_KERNEL Vec load(float const* p) {
  Vec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
LOMO_KERNEL Vec load(bf16 const* p) {
  HalfVec h;
  __builtin_memcpy(&h, p, sizeof h);
  return bits_of<Vec>(__builtin_convertvector(h, UintVec) << 16);
}
LOMO_KERNEL Vec load(f16 const* p) {
  HalfVec h;
  __builtin_memcpy(&h, p, sizeof h);
#if defined(__AVX512F__)
  return bits_of<Vec>(_mm512_cvtph_ps(bits_of<__m256i>(h)));
#elif defined(__F16C__)
  return bits_of<Vec>(_mm256_cvtph_ps(bits_of<__m128i>(h)));
#else  // as to_float of lomo/core/dtype.h, lane by lane
  const UintVec bits = __builtin_convertvector(h, UintVec);
  const UintVec magnitude = (bits & 0x7fffu) << 13;
  const UintVec normal = magnitude + (112u << 23);
  const UintVec small = bits_of<UintVec>(bits_of<Vec>(normal + (1u << 23)) - 0x1p-14f);
  const UintVec large = magnitude >= (31u << 23) ? normal + (112u << 23) : normal;
  return bits_of<Vec>((magnitude < (1u << 23) ? small : large) | ((bits & 0x8000u) << 16));
#endif
}
LOMO_KERNEL IntVec load(std::int32_t const* p) {
  IntVec v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}
LOMO_KERNEL void store(float* p, Vec v) {
  __builtin_memcpy(p, &v, sizeof v);
}
/// Rounds to nearest even, NaN stays NaN: to_bf16 of lomo/core/dtype.h, lane by lane.
LOMO_KERNEL void store(bf16* p, Vec v) {
  const UintVec u = bits_of<UintVec>(v);
  const UintVec rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16;
  const UintVec quiet = (u >> 16) | 0x40u;
  const HalfVec h = __builtin_convertvector(v == v ? rounded : quiet, HalfVec);
  __builtin_memcpy(p, &h, sizeof h);
}

LOMO_KERNEL void store(f16* p, Vec v) {
#if defined(__AVX512F__)
  const auto h = _mm512_cvtps_ph(bits_of<__m512>(v), _MM_FROUND_TO_NEAREST_INT);
#elif defined(__F16C__)
  const auto h = _mm256_cvtps_ph(bits_of<__m256>(v), _MM_FROUND_TO_NEAREST_INT);
#else  // as to_f16
  const UintVec u = bits_of<UintVec>(v);
  const UintVec magnitude = u & 0x7fffffffu;
  const UintVec normal = (magnitude + 0xfffu + ((magnitude >> 13) & 1u) - (112u << 23)) >> 13;
  const UintVec small = bits_of<UintVec>(bits_of<Vec>(magnitude) + 0.5f) - 0x3f000000u;
  const UintVec nan = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  const UintVec large = magnitude > 0x7f800000u ? nan : UintVec{} + 0x7c00u;
  const UintVec finite = magnitude < 0x38800000u ? small : normal;
  const UintVec bits = magnitude >= 0x47800000u ? large : finite;
  const HalfVec h = __builtin_convertvector(bits | ((u >> 16) & 0x8000u), HalfVec);
#endif
  static_assert(sizeof h == kLanes * sizeof(f16));
  __builtin_memcpy(p, &h, sizeof h);
}

LOMO_KERNEL float load_one(float const* p) {
  return *p;
}
LOMO_KERNEL float load_one(bf16 const* p) {
  return bits_of<float>(static_cast<std::uint32_t>(p->bits) << 16);
}
LOMO_KERNEL float load_one(f16 const* p) {
#if defined(__F16C__)
  return _cvtsh_ss(p->bits);
#else
  HalfVec h{};
  h[0] = p->bits;
  f16 part[kLanes];
  __builtin_memcpy(part, &h, sizeof h);
  return load(part)[0];
#endif
}
LOMO_KERNEL void store_one(float* p, float x) {
  *p = x;
}
LOMO_KERNEL void store_one(bf16* p, float x) {
  const auto u = bits_of<std::uint32_t>(x);
  p->bits = static_cast<std::uint16_t>(x == x ? (u + 0x7fffu + ((u >> 16) & 1u)) >> 16
                                              : (u >> 16) | 0x40u);
}

LOMO_KERNEL void store_one(f16* p, float x) {
#if defined(__F16C__)
  p->bits = static_cast<std::uint16_t>(_cvtss_sh(x, _MM_FROUND_TO_NEAREST_INT));
#else
  f16 part[kLanes];
  store(part, splat(x));
  *p = part[0];
#endif
}

/// The first `count` lanes; the others read as zero and are not written.
template <class T>
LOMO_KERNEL Vec load(T const* p, int count) {
  if (count == kLanes) return load(p);
  T part[kLanes] = {};
  for (int i = 0; i < count; ++i) part[i] = p[i];
  return load(part);
}
template <class T>
LOMO_KERNEL void store(T* p, Vec v, int count) {
  if (count == kLanes) return store(p, v);
  T part[kLanes];
  store(part, v);
  for (int i = 0; i < count; ++i) p[i] = part[i];
}
/// v in the first `count` lanes, `rest` in the others.
LOMO_KERNEL Vec keep(Vec v, int count, float rest) {
  if (count == kLanes) return v;
  for (int i = count; i < kLanes; ++i) v[i] = rest;
  return v;
}

LOMO_KERNEL float sum_lanes(Vec v) {
  float part[kLanes];
  store(part, v);
  for (int width = kLanes / 2; width > 0; width /= 2) {
    for (int i = 0; i < width; ++i) part[i] += part[i + width];
  }
  return part[0];
}
LOMO_KERNEL float max_lanes(Vec v) {
  float maximum = v[0];
  for (int i = 1; i < kLanes; ++i) maximum = v[i] > maximum ? v[i] : maximum;
  return maximum;
}

/// f(first, count) for the elements [0, n), kLanes at a time, the last call with what remains.
template <class F>
LOMO_KERNEL void by_lanes(std::int64_t n, F f) {
  std::int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) f(i, kLanes);
  if (i < n) f(i, static_cast<int>(n - i));
}

/// Sum of f(first, count) over [0, n), f returning zero in dead lanes. Partial sums of kSumRun
/// vectors are added up, so that the error grows with kSumRun + n / (kSumRun kLanes), not n.
constexpr std::int64_t kSumRun = 64;
template <class F>
LOMO_KERNEL float sum_by_lanes(std::int64_t n, F f) {
  Vec total{};
  for (std::int64_t start = 0; start < n; start += kSumRun * kLanes) {
    const std::int64_t run = n - start < kSumRun * kLanes ? n - start : kSumRun * kLanes;
    Vec part{};
    by_lanes(run,
             [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA { part += f(start + i, count); });
    total += part;
  }
  return sum_lanes(total);
}

/// e^x. Relative error below 1.5e-7 where the result is normal; below that absolute error under
/// 2^-126 (denormals may or may not be flushed); 0 below -105, infinity above 88.73; NaN stays NaN.
/// x = n ln 2 + r, |r| <= ln 2 / 2, Taylor series of e^r to r^7 (its remainder is 6e-9).
LOMO_KERNEL Vec exp_of(Vec x) {
  x = x < splat(-105.0f) ? splat(-105.0f) : x;
  x = x > splat(89.0f) ? splat(89.0f) : x;
  const float magic = 0x1.8p23f;  // adding it rounds to an integer in the low bits
  const Vec shifted = x * 0x1.715476p0f + magic;
  const IntVec n = bits_of<IntVec>(shifted) - bits_of<std::int32_t>(magic);
  const Vec whole = shifted - magic;
  Vec r = x - whole * 0x1.62e4p-1f;  // ln 2 in two parts: the first product is exact
  r = r - whole * 0x1.7f7d1cp-20f;
  Vec p = splat(1.0f / 5040);
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  // 2^n in two factors: n may be -151 or 128, which one float's exponent cannot hold.
  const IntVec half = n >> 1;
  const Vec lower = bits_of<Vec>((half + 127) << 23);
  const Vec upper = bits_of<Vec>((n - half + 127) << 23);
  return p * lower * upper;
}

struct SineCosine {
  Vec sine, cosine;
};
/// Sine and cosine of position * frequency, absolute error below 2e-7 for |angle| < 2^22.
/// The angle is reduced in double (the product of an i32 and an f32 below 2^53 is exact there),
/// r = angle - n pi/2, |r| <= pi/4, then Taylor series to r^11 and r^10.
LOMO_KERNEL SineCosine sine_cosine(std::int32_t position, Vec frequency) {
  const WideVec angle = __builtin_convertvector(frequency, WideVec) * static_cast<double>(position);
  const double magic = 0x1.8p52;
  const WideVec turns = (angle * 0.63661977236758134308 + magic) - magic;
  const WideVec rest = (angle - turns * 0x1.921fb54442d18p0) - turns * 0x1.1a62633145c07p-54;
  const IntVec n = __builtin_convertvector(__builtin_convertvector(turns, Vec), IntVec);
  const Vec r = __builtin_convertvector(rest, Vec);
  const Vec r2 = r * r;
  Vec s = splat(-1.0f / 39916800);
  s = s * r2 + 1.0f / 362880;
  s = s * r2 - 1.0f / 5040;
  s = s * r2 + 1.0f / 120;
  s = s * r2 - 1.0f / 6;
  s = s * r2 * r + r;
  Vec c = splat(-1.0f / 3628800);
  c = c * r2 + 1.0f / 40320;
  c = c * r2 - 1.0f / 720;
  c = c * r2 + 1.0f / 24;
  c = c * r2 - 0.5f;
  c = c * r2 + 1.0f;
  const Vec sine = (n & 1) != 0 ? c : s;
  const Vec cosine = (n & 1) != 0 ? s : c;
  return {(n & 2) != 0 ? -sine : sine, ((n + 1) & 2) != 0 ? -cosine : cosine};
}

}  // namespace
}  // namespace lomo::cpu

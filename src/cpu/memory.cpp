#include <bit>
#include <cmath>
#include <cstring>

#include "engine.h"
#include "lomo/core/error.h"
#include "vector_loop.h"

namespace lomo::cpu {
namespace {

/// Bytes from one row to the next, and of a row.
std::size_t row_step(Tensor t) {
  return static_cast<std::size_t>(t.pitch()) * size_of(t.dtype());
}
std::size_t row_bytes(Tensor t) {
  return static_cast<std::size_t>(t.cols()) * size_of(t.dtype());
}

/// f64 to f32 such that a second rounding to fewer bits is still nearest: inexact results get an
/// odd last bit ("round to odd").
float halfway(double x) {
  const auto f = static_cast<float>(x);
  if (static_cast<double>(f) == x || std::isnan(x) || std::isinf(f)) return f;
  auto bits = std::bit_cast<std::uint32_t>(f);
  if (std::abs(static_cast<double>(f)) > std::abs(x)) bits -= 1;  // towards zero
  return std::bit_cast<float>(bits | 1u);
}

template <class To, class From>
LOMO_INLINE inline To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (std::is_same_v<To, double>) {
    return static_cast<double>(to_float(x));
  } else if constexpr (std::is_same_v<From, double>) {
    if constexpr (std::is_same_v<To, float>) return static_cast<float>(x);
    return round_to<To>(halfway(x));
  } else {
    return round_to<To>(to_float(x));
  }
}

template <class To, class From>
void convert_rows(Tensor dst, Tensor src, int threads) {
#pragma omp parallel for num_threads(threads)
  for (std::int64_t n = 0; n < dst.rows(); ++n) {
    To* const to = dst.data<To>() + n * dst.pitch();
    From const* const from = src.data<From>() + n * src.pitch();
    vector_loop(0, dst.cols(), [=](std::int64_t i) LOMO_INLINE { to[i] = convert<To>(from[i]); });
  }
}

template <class F>
void with_type(DType type, F&& f) {
  switch (type) {
    case DType::f32:
      return f(float{});
    case DType::bf16:
      return f(bf16{});
    case DType::f16:
      return f(f16{});
    case DType::f64:
      return f(double{});
    case DType::i32:
      throw Error("copy: i32 is not converted");
  }
}

/// A dense tensor seen as rows of a convenient size, so that vectors too are shared by the threads.
Tensor cut(Tensor t) {
  constexpr std::int64_t kChunk = 16384;
  if (!t.dense() || t.numel() % kChunk != 0) {
    return t.shape().rank() == 2 ? t : t.reshaped(Shape(1, t.rows()));
  }
  return t.reshaped(Shape(t.numel() / kChunk, kChunk));
}

}  // namespace

void CpuBackend::do_upload(Tensor dst, std::span<std::byte const> src) {
  auto* const to = static_cast<std::byte*>(dst.raw());
  if (dst.dense()) {
    std::memcpy(to, src.data(), src.size());
    return;
  }
  for (std::int64_t n = 0; n < dst.rows(); ++n) {
    const auto row = static_cast<std::size_t>(n);
    std::memcpy(to + row * row_step(dst), src.data() + row * row_bytes(dst), row_bytes(dst));
  }
}

void CpuBackend::do_download(std::span<std::byte> dst, Tensor src) {
  auto const* const from = static_cast<std::byte const*>(src.raw());
  if (src.dense()) {
    std::memcpy(dst.data(), from, dst.size());
    return;
  }
  for (std::int64_t n = 0; n < src.rows(); ++n) {
    const auto row = static_cast<std::size_t>(n);
    std::memcpy(dst.data() + row * row_bytes(src), from + row * row_step(src), row_bytes(src));
  }
}

void CpuBackend::do_copy(Tensor dst, Tensor src) {
  if (dst.raw() == src.raw() && dst.dtype() == src.dtype()) return;
  if (dst.dense() && src.dense()) {
    dst = cut(dst);
    src = cut(src);
  }
  if (dst.dtype() == src.dtype()) {
    const std::size_t bytes = row_bytes(dst);
#pragma omp parallel for num_threads(threads_)
    for (std::int64_t n = 0; n < dst.rows(); ++n) {
      const auto row = static_cast<std::size_t>(n);
      std::memcpy(static_cast<std::byte*>(dst.raw()) + row * row_step(dst),
                  static_cast<std::byte const*>(src.raw()) + row * row_step(src), bytes);
    }
    return;
  }
  with_type(dst.dtype(), [&](auto to) {
    with_type(src.dtype(),
              [&](auto from) { convert_rows<decltype(to), decltype(from)>(dst, src, threads_); });
  });
}

void CpuBackend::do_zero(Tensor x) {
  if (x.dense()) x = cut(x);
  const std::size_t bytes = row_bytes(x);
#pragma omp parallel for num_threads(threads_)
  for (std::int64_t n = 0; n < x.rows(); ++n) {
    std::memset(static_cast<std::byte*>(x.raw()) + static_cast<std::size_t>(n) * row_step(x), 0,
                bytes);
  }
}

}  // namespace lomo::cpu

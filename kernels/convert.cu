// Copies that convert between f32, bf16, f16 and f64.
//
// Bytes: reads and writes each element once. Launch: a thread for 16 bytes of the wider type (one
// element when f64 takes part or rows are not aligned), blocks of 256. Memory-bound.
#include "convert.h"

#include "launch.cuh"

namespace lomo::kernels {
namespace {

/// f64 to f32 such that a second rounding to fewer bits is still nearest: inexact results get an
/// odd last bit.
__device__ __forceinline__ float halfway(double x) {
  const auto f = static_cast<float>(x);
  const std::uint32_t bits = __float_as_uint(f);
  const bool special = (bits & 0x7f800000u) == 0x7f800000u;
  const auto back = static_cast<double>(f);
  if (special || back == x) return f;
  const bool away = back > 0 || (back == 0 && x > 0) ? back > x : back < x;
  return __uint_as_float((away ? bits - 1 : bits) | 1u);
}

template <class To, class From>
__device__ __forceinline__ To converted(From x) {
  if constexpr (std::is_same_v<To, double>) {
    if constexpr (std::is_same_v<From, double>) {
      return x;
    } else {
      return to_float(x);
    }
  } else if constexpr (std::is_same_v<From, double>) {
    if constexpr (std::is_same_v<To, float>) {
      return static_cast<float>(x);
    } else {
      return round_to<To>(halfway(x));
    }
  } else {
    return round_to<To>(to_float(x));
  }
}

template <class To, class From, int N>
__global__ void __launch_bounds__(kThreads)
    convert_kernel(To* dst, std::int64_t dst_pitch, From const* src, std::int64_t src_pitch,
                   std::int64_t rows, std::int64_t items) {
  for_each_item(rows, items, [&](std::int64_t row, std::int64_t item) {
    To* const to = dst + row * dst_pitch + item * N;
    From const* const from = src + row * src_pitch + item * N;
    if constexpr (N == 1) {
      *to = converted<To>(*from);
    } else {
      float x[N];
      load(x, from);
      store(to, x);
    }
  });
}

template <class F>
cudaError_t with_number(Number type, F&& f) {
  switch (type) {
    case Number::f32:
      return f(float{});
    case Number::bf16:
      return f(bf16{});
    case Number::f16:
      return f(f16{});
    case Number::f64:
      return f(double{});
  }
  return cudaErrorInvalidValue;
}

}  // namespace

cudaError_t convert(Number to, Out dst, Number from, In src, std::int64_t rows, std::int64_t cols,
                    cudaStream_t stream, Variant variant) {
  if (dst.pitch == cols && src.pitch == cols) {
    cols *= rows;
    rows = 1;
  }
  return with_number(to, [&]<class To>(To) {
    return with_number(from, [&]<class From>(From) {
      const auto run = [&]<int N>(std::integral_constant<int, N>) {
        const RowGrid shape(rows, cols / N);
        return launch(convert_kernel<To, From, N>, shape.grid, shape.block, 0, stream,
                      static_cast<To*>(dst.data), dst.pitch, static_cast<From const*>(src.data),
                      src.pitch, rows, cols / N);
      };
      if constexpr (!std::is_same_v<To, double> && !std::is_same_v<From, double>) {
        constexpr int kWide = std::min(kVector<To>, kVector<From>);
        if (variant == Variant::tuned && cols % kWide == 0 && aligned(dst, sizeof(To)) &&
            aligned(src, sizeof(From))) {
          return run(std::integral_constant<int, kWide>{});
        }
      }
      return run(std::integral_constant<int, 1>{});
    });
  });
}

}  // namespace lomo::kernels

#pragma once
// Kernels that work on one row. Included by the kernel files only; see vector_math.h.
#include "kernels.h"
#include "vector_math.h"

namespace lomo::cpu {
namespace {

template <class T>
float rmsnorm_row(T* y, T const* x, T const* w, std::int64_t c, float eps) {
  const float squares = sum_by_lanes(c, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const Vec v = load(x + i, count);
    return v * v;
  });
  const float rstd = 1.0f / __builtin_sqrtf(squares / static_cast<float>(c) + eps);
  by_lanes(c, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    store(y + i, load(x + i, count) * rstd * load(w + i, count), count);
  });
  return rstd;
}

// With u = x rstd:  dx = rstd (w dy - u mean(w dy u)),  dw += dy u.
template <class T>
void rmsnorm_backward_row(T* dx, float* dw, T const* dy, T const* x, T const* w, T const* residual,
                          float rstd, std::int64_t c) {
  const float dot = sum_by_lanes(c, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    return load(w + i, count) * load(dy + i, count) * (load(x + i, count) * rstd);
  });
  const float mean = dot / static_cast<float>(c);
  by_lanes(c, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const Vec g = load(dy + i, count);
    const Vec u = load(x + i, count) * rstd;
    Vec d = (load(w + i, count) * g - u * mean) * rstd;
    if (residual != nullptr) d += load(residual + i, count);
    if (dw != nullptr) store(dw + i, load(dw + i, count) + g * u, count);
    store(dx + i, d, count);
  });
}

void sine_cosine_row(float* sine, float* cosine, std::int32_t position, float const* inv_freq,
                     std::int64_t half) {
  by_lanes(half, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const SineCosine both = sine_cosine(position, load(inv_freq + i, count));
    store(sine + i, both.sine, count);
    store(cosine + i, both.cosine, count);
  });
}

template <class T>
void rotate_row(T* x, float const* sine, float const* cosine, std::int64_t heads,
                std::int64_t width, std::int64_t half) {
  for (std::int64_t h = 0; h < heads; ++h) {
    T* lower = x + h * width;
    T* upper = lower + half;
    by_lanes(half, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
      const Vec a = load(lower + i, count), b = load(upper + i, count);
      const Vec s = load(sine + i, count), c = load(cosine + i, count);
      store(lower + i, a * c - b * s, count);
      store(upper + i, b * c + a * s, count);
    });
  }
}

template <class T>
void swiglu_row(T* act, T const* gate, T const* up, std::int64_t f) {
  by_lanes(f, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const Vec g = load(gate + i, count);
    store(act + i, g / (1.0f + exp_of(-g)) * load(up + i, count), count);
  });
}

// silu'(g) = s (1 + g (1 - s)) with s = 1 / (1 + e^-g).
template <class T>
void swiglu_backward_row(T* d_gate, T* d_up, T const* d_act, T const* gate, T const* up,
                         std::int64_t f) {
  by_lanes(f, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const Vec g = load(gate + i, count), u = load(up + i, count), d = load(d_act + i, count);
    const Vec e = exp_of(-g);
    const Vec s = 1.0f / (1.0f + e);
    // 1 - s loses all digits for large g; s e^-g does not, and is 0 * inf only below -88.
    const Vec rest = e > splat(1.0f) ? 1.0f - s : s * e;
    store(d_gate + i, d * u * s * (1.0f + g * rest), count);
    store(d_up + i, d * g * s, count);
  });
}

void cross_entropy_block_row(float* running, float const* z, std::int64_t target, std::int64_t b) {
  const float minimum = -__builtin_inff();
  Vec maximum = splat(minimum);
  by_lanes(b, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    const Vec v = keep(load(z + i, count), count, minimum);
    maximum = v > maximum ? v : maximum;
  });
  const float block_max = max_lanes(maximum);
  const float max = block_max > running[0] ? block_max : running[0];
  const float row_max = max == minimum ? 0.0f : max;  // no logit yet above -inf
  const float sum = sum_by_lanes(b, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    return keep(exp_of(load(z + i, count) - row_max), count, 0.0f);
  });
  running[1] = running[1] * exp_of(splat(running[0] - row_max))[0] + sum;
  running[0] = max;
  if (target >= 0 && target < b) running[2] = z[target];
}

template <class T>
void cross_entropy_backward_row(T* dz, float const* z, float lse, float scale, std::int64_t target,
                                std::int64_t b) {
  const bool here = target >= 0 && target < b;
  const float logit = here ? z[target] : 0.0f;  // read first: dz may be z
  by_lanes(b, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    store(dz + i, exp_of(load(z + i, count) - lse) * scale, count);
  });
  if (here) store_one(dz + target, scale * (exp_of(splat(logit - lse))[0] - 1.0f));
}

template <class T>
float dot_row(T const* x, T const* y, std::int64_t n) {
  return sum_by_lanes(n, [&](std::int64_t i, int count) LOMO_KERNEL_LAMBDA {
    return load(x + i, count) * load(y + i, count);
  });
}

void exp_row(float* y, float const* x, std::int64_t n) {
  by_lanes(n, [&](std::int64_t i, int count)
                  LOMO_KERNEL_LAMBDA { store(y + i, exp_of(load(x + i, count)), count); });
}

}  // namespace
}  // namespace lomo::cpu

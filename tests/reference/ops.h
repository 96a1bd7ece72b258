#pragma once
// Reference operations: plain loops, one formula each, templates on the scalar type so that a
// complex step can differentiate them (test_complex_step.cpp). Matrices are dense, row-major
// std::vectors; letters as in docs/NOTATION.md. Comparisons look at the real part.
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace lomo::reference {

template <class S>
using Array = std::vector<S>;
using Ints = std::vector<std::int32_t>;

inline double real_of(double x) {
  return x;
}
inline double real_of(std::complex<double> const& x) {
  return x.real();
}
inline std::size_t at(std::int64_t row, std::int64_t cols, std::int64_t col) {
  return static_cast<std::size_t>(row * cols + col);
}
template <class S>
std::int64_t rows_of(Array<S> const& x, std::int64_t cols) {
  return cols == 0 ? 0 : static_cast<std::int64_t>(x.size()) / cols;
}
template <class S>
Array<S> zeros(std::int64_t n) {
  return Array<S>(static_cast<std::size_t>(n), S(0));
}

// ---- linear: y (N,O) = x (N,I) w^T, w (O,I) -----------------------------------------------------

template <class S>
Array<S> linear(Array<S> const& x, Array<S> const& w, std::int64_t in, std::int64_t out) {
  const std::int64_t n = rows_of(x, in);
  Array<S> y = zeros<S>(n * out);
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t i = 0; i < in; ++i) y[at(r, out, o)] += x[at(r, in, i)] * w[at(o, in, i)];
    }
  }
  return y;
}

/// dx (N,I) = dy (N,O) w.
template <class S>
Array<S> linear_backward_input(Array<S> const& dy, Array<S> const& w, std::int64_t in,
                               std::int64_t out) {
  const std::int64_t n = rows_of(dy, out);
  Array<S> dx = zeros<S>(n * in);
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t i = 0; i < in; ++i) dx[at(r, in, i)] += dy[at(r, out, o)] * w[at(o, in, i)];
    }
  }
  return dx;
}

/// dw (O,I) = dy^T x.
template <class S>
Array<S> linear_backward_weight(Array<S> const& dy, Array<S> const& x, std::int64_t in,
                                std::int64_t out) {
  Array<S> dw = zeros<S>(out * in);
  for (std::int64_t r = 0; r < rows_of(x, in); ++r) {
    for (std::int64_t o = 0; o < out; ++o) {
      for (std::int64_t i = 0; i < in; ++i) dw[at(o, in, i)] += dy[at(r, out, o)] * x[at(r, in, i)];
    }
  }
  return dw;
}

/// ||dy^T x||_F^2 as the sum over pairs of rows of (dy dy^T) (x x^T).
template <class S>
S gram_norm_squared(Array<S> const& dy, Array<S> const& x, std::int64_t out, std::int64_t in) {
  const auto product = [](Array<S> const& a, std::int64_t width, std::int64_t r, std::int64_t s) {
    S sum = 0;
    for (std::int64_t i = 0; i < width; ++i) sum += a[at(r, width, i)] * a[at(s, width, i)];
    return sum;
  };
  S total = 0;
  for (std::int64_t r = 0; r < rows_of(x, in); ++r) {
    for (std::int64_t s = 0; s < rows_of(x, in); ++s) {
      total += product(dy, out, r, s) * product(x, in, r, s);
    }
  }
  return total;
}

// ---- rmsnorm: y (N,C) = x rstd w, rstd = 1 / sqrt(mean(x^2) + eps) ------------------------------

template <class S>
struct Norm {
  Array<S> y, rstd;  // (N,C), (N)
};
template <class S>
Norm<S> rmsnorm(Array<S> const& x, Array<S> const& w, double eps) {
  const auto c = static_cast<std::int64_t>(w.size());
  Norm<S> result{x, {}};
  for (std::int64_t r = 0; r < rows_of(x, c); ++r) {
    S squares(0);
    for (std::int64_t i = 0; i < c; ++i) squares += x[at(r, c, i)] * x[at(r, c, i)];
    result.rstd.push_back(S(1) / std::sqrt(squares / S(static_cast<double>(c)) + S(eps)));
    for (std::int64_t i = 0; i < c; ++i) {
      result.y[at(r, c, i)] = x[at(r, c, i)] * result.rstd.back() * w[static_cast<std::size_t>(i)];
    }
  }
  return result;
}

template <class S>
struct NormGradient {
  Array<S> dx, dw;  // (N,C), (C)
};
template <class S>
NormGradient<S> rmsnorm_backward(Array<S> const& dy, Array<S> const& x, Array<S> const& w,
                                 Array<S> const& rstd) {
  const auto c = static_cast<std::int64_t>(w.size());
  NormGradient<S> g{zeros<S>(static_cast<std::int64_t>(x.size())), zeros<S>(c)};
  for (std::int64_t r = 0; r < rows_of(x, c); ++r) {
    const S scale = rstd[static_cast<std::size_t>(r)];
    S mean(0);  // of w dy x rstd
    for (std::int64_t i = 0; i < c; ++i) {
      const auto col = static_cast<std::size_t>(i);
      mean += w[col] * dy[at(r, c, i)] * x[at(r, c, i)] * scale / S(static_cast<double>(c));
      g.dw[col] += dy[at(r, c, i)] * x[at(r, c, i)] * scale;
    }
    for (std::int64_t i = 0; i < c; ++i) {
      g.dx[at(r, c, i)] = scale * (w[static_cast<std::size_t>(i)] * dy[at(r, c, i)] -
                                   x[at(r, c, i)] * scale * mean);
    }
  }
  return g;
}

// ---- rope: pair (x[i], x[i + D/2]) of every head turns by positions[n] * inv_freq[i] ------------

/// `direction` is 1, or -1 for the inverse turn, which is the backward.   x (N, heads D).
template <class S>
Array<S> rope(Array<S> x, Ints const& positions, std::vector<double> const& inv_freq,
              std::int64_t heads, int direction = 1) {
  const auto half = static_cast<std::int64_t>(inv_freq.size());
  for (std::int64_t n = 0; n < static_cast<std::int64_t>(positions.size()); ++n) {
    for (std::int64_t h = 0; h < heads; ++h) {
      for (std::int64_t i = 0; i < half; ++i) {
        const double angle = direction *
                             static_cast<double>(positions[static_cast<std::size_t>(n)]) *
                             inv_freq[static_cast<std::size_t>(i)];
        S& lower = x[at(n, heads * 2 * half, h * 2 * half + i)];
        S& upper = x[at(n, heads * 2 * half, h * 2 * half + half + i)];
        const S a = lower, b = upper;
        lower = a * std::cos(angle) - b * std::sin(angle);
        upper = b * std::cos(angle) + a * std::sin(angle);
      }
    }
  }
  return x;
}

// ---- attention ----------------------------------------------------------------------------------

/// Row starts (S+1) and positions (rows) of sequences laid end to end.
struct Rows {
  Ints starts, positions;
};
struct HeadShape {
  std::int64_t query, key_value, width;  // H, G, D
  double scale;
  std::int64_t window = 0;  // keys a query sees at most, its own position's among them; 0: all
};
template <class S>
struct Attention {
  Array<S> out, lse;  // (Nq,HD), (Nq,H)
};

/// probability (rows of the key sequence) with which query row i, head h, looks at each key row of
/// sequence s; empty sums give lse = -inf and zeros.
template <class S>
struct Look {
  Array<S> p;
  S lse;
};
template <class S>
Look<S> look(Array<S> const& q, Array<S> const& k, Rows const& qr, Rows const& kr,
             HeadShape const& hs, std::int64_t i, std::int64_t h, std::size_t s) {
  const std::int64_t d = hs.width, g = h / (hs.query / hs.key_value);
  const std::int64_t first = kr.starts[s], end = kr.starts[s + 1];
  Look<S> result{zeros<S>(end - first), S(-std::numeric_limits<double>::infinity())};
  std::vector<bool> seen;
  double maximum = -std::numeric_limits<double>::infinity();
  for (std::int64_t j = first; j < end; ++j) {
    S& score = result.p[static_cast<std::size_t>(j - first)];
    for (std::int64_t c = 0; c < d; ++c) {
      score += q[at(i, hs.query * d, h * d + c)] * k[at(j, hs.key_value * d, g * d + c)] * hs.scale;
    }
    const std::int64_t back = std::int64_t{qr.positions[static_cast<std::size_t>(i)]} -
                              kr.positions[static_cast<std::size_t>(j)];
    seen.push_back(back >= 0 && (hs.window == 0 || back < hs.window));
    if (seen.back() && real_of(score) > maximum) maximum = real_of(score);
  }
  S sum(0);
  for (std::size_t j = 0; j < seen.size(); ++j) {
    result.p[j] = seen[j] ? std::exp(result.p[j] - S(maximum)) : S(0);
    sum += result.p[j];
  }
  if (real_of(sum) == 0) return result;
  for (S& p : result.p) p /= sum;
  result.lse = S(maximum) + std::log(sum);
  return result;
}

/// q (Nq,HD); k, v (Nk,GD).
template <class S>
Attention<S> attention(Array<S> const& q, Array<S> const& k, Array<S> const& v, Rows const& qr,
                       Rows const& kr, HeadShape const& hs) {
  const std::int64_t d = hs.width, nq = rows_of(q, hs.query * d);
  Attention<S> result{zeros<S>(nq * hs.query * d), zeros<S>(nq * hs.query)};
  for (std::size_t s = 0; s + 1 < qr.starts.size(); ++s) {
    for (std::int64_t i = qr.starts[s]; i < qr.starts[s + 1]; ++i) {
      for (std::int64_t h = 0; h < hs.query; ++h) {
        const std::int64_t g = h / (hs.query / hs.key_value);
        const Look<S> eye = look(q, k, qr, kr, hs, i, h, s);
        result.lse[at(i, hs.query, h)] = eye.lse;
        for (std::size_t j = 0; j < eye.p.size(); ++j) {
          const std::int64_t row = kr.starts[s] + static_cast<std::int64_t>(j);
          for (std::int64_t c = 0; c < d; ++c) {
            result.out[at(i, hs.query * d, h * d + c)] +=
                eye.p[j] * v[at(row, hs.key_value * d, g * d + c)];
          }
        }
      }
    }
  }
  return result;
}

template <class S>
struct AttentionGradient {
  Array<S> dq, dk, dv;
};
/// dS = P (dout v^T - rowsum(dout out)).
template <class S>
AttentionGradient<S> attention_backward(Array<S> const& dout, Array<S> const& q, Array<S> const& k,
                                        Array<S> const& v, Rows const& qr, Rows const& kr,
                                        HeadShape const& hs) {
  const std::int64_t d = hs.width, hd = hs.query * d, gd = hs.key_value * d;
  AttentionGradient<S> result{Array<S>(q.size(), S(0)), Array<S>(k.size(), S(0)),
                              Array<S>(v.size(), S(0))};
  for (std::size_t s = 0; s + 1 < qr.starts.size(); ++s) {
    for (std::int64_t i = qr.starts[s]; i < qr.starts[s + 1]; ++i) {
      for (std::int64_t h = 0; h < hs.query; ++h) {
        const std::int64_t g = h / (hs.query / hs.key_value);
        const Look<S> eye = look(q, k, qr, kr, hs, i, h, s);
        Array<S> dp(eye.p.size(), S(0));
        S delta(0);
        for (std::size_t j = 0; j < dp.size(); ++j) {
          const std::int64_t row = kr.starts[s] + static_cast<std::int64_t>(j);
          for (std::int64_t c = 0; c < d; ++c) {
            dp[j] += dout[at(i, hd, h * d + c)] * v[at(row, gd, g * d + c)];
            result.dv[at(row, gd, g * d + c)] += eye.p[j] * dout[at(i, hd, h * d + c)];
          }
          delta += eye.p[j] * dp[j];
        }
        for (std::size_t j = 0; j < dp.size(); ++j) {
          const std::int64_t row = kr.starts[s] + static_cast<std::int64_t>(j);
          const S ds = eye.p[j] * (dp[j] - delta) * hs.scale;
          for (std::int64_t c = 0; c < d; ++c) {
            result.dq[at(i, hd, h * d + c)] += ds * k[at(row, gd, g * d + c)];
            result.dk[at(row, gd, g * d + c)] += ds * q[at(i, hd, h * d + c)];
          }
        }
      }
    }
  }
  return result;
}

// ---- swiglu: act (N,F) = silu(gate) up, gate_up (N,2F) ------------------------------------------

template <class S>
Array<S> swiglu(Array<S> const& gate_up, std::int64_t f) {
  const std::int64_t n = rows_of(gate_up, 2 * f);
  Array<S> act = zeros<S>(n * f);
  for (std::int64_t r = 0; r < n; ++r) {
    for (std::int64_t i = 0; i < f; ++i) {
      const S g = gate_up[at(r, 2 * f, i)];
      act[at(r, f, i)] = g / (S(1) + std::exp(-g)) * gate_up[at(r, 2 * f, f + i)];
    }
  }
  return act;
}

template <class S>
Array<S> swiglu_backward(Array<S> const& d_act, Array<S> const& gate_up, std::int64_t f) {
  Array<S> d(gate_up.size(), S(0));
  for (std::int64_t r = 0; r < rows_of(d_act, f); ++r) {
    for (std::int64_t i = 0; i < f; ++i) {
      const S g = gate_up[at(r, 2 * f, i)], up = gate_up[at(r, 2 * f, f + i)];
      const S s = S(1) / (S(1) + std::exp(-g));
      d[at(r, 2 * f, i)] = d_act[at(r, f, i)] * up * s * (S(1) + g * (S(1) - s));
      d[at(r, 2 * f, f + i)] = d_act[at(r, f, i)] * g * s;
    }
  }
  return d;
}

// ---- cross-entropy over blocks of the vocabulary ------------------------------------------------

template <class S>
struct CrossEntropy {
  Array<S> loss, lse;  // (N'), nats
};
/// z (N',V) logits, taken `block` columns at a time with a running maximum and sum.
template <class S>
CrossEntropy<S> cross_entropy(Array<S> const& z, Ints const& targets, std::int64_t vocab,
                              std::int64_t block) {
  CrossEntropy<S> result;
  for (std::int64_t r = 0; r < static_cast<std::int64_t>(targets.size()); ++r) {
    double maximum = -std::numeric_limits<double>::infinity();
    S sum(0), target(0);
    for (std::int64_t first = 0; first < vocab; first += block) {
      const std::int64_t end = first + block < vocab ? first + block : vocab;
      double greater = maximum;
      for (std::int64_t j = first; j < end; ++j) {
        greater = std::fmax(greater, real_of(z[at(r, vocab, j)]));
      }
      sum *= std::exp(maximum - greater);
      maximum = greater;
      for (std::int64_t j = first; j < end; ++j) {
        sum += std::exp(z[at(r, vocab, j)] - S(maximum));
        if (j == targets[static_cast<std::size_t>(r)]) target = z[at(r, vocab, j)];
      }
    }
    result.lse.push_back(S(maximum) + std::log(sum));
    result.loss.push_back(result.lse.back() - target);
  }
  return result;
}

/// dz (N',V) = scale (exp(z - lse) - onehot).
template <class S>
Array<S> cross_entropy_backward(Array<S> const& z, Array<S> const& lse, Ints const& targets,
                                std::int64_t vocab, S scale) {
  Array<S> dz(z.size(), S(0));
  for (std::int64_t r = 0; r < static_cast<std::int64_t>(targets.size()); ++r) {
    for (std::int64_t j = 0; j < vocab; ++j) {
      const S p = std::exp(z[at(r, vocab, j)] - lse[static_cast<std::size_t>(r)]);
      dz[at(r, vocab, j)] = scale * (p - S(j == targets[static_cast<std::size_t>(r)] ? 1.0 : 0.0));
    }
  }
  return dz;
}

}  // namespace lomo::reference

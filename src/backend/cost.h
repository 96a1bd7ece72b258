#pragma once
#include <initializer_list>

#include "lomo/backend/ledger.h"
#include "lomo/backend/ops.h"
#include "lomo/core/tensor.h"

/// What each operation costs, in closed form and from sizes alone, so that an engine that computes
/// nothing counts the same. Flops: a multiply-add is 2, every other elementary operation (exp, sqrt
/// and division too) is 1; conversions and comparisons of indices are free. Bytes: each operand
/// element the op must touch, once; memory that two arguments name counts for both, since an engine
/// without addresses cannot tell.
namespace lomo {

/// A number of elements or rows, as costs count.
inline double count(std::int64_t n) {
  return static_cast<double>(n);
}

}  // namespace lomo

namespace lomo::cost {

/// Bytes of all operands, each once; absent ones are free.
double touched(std::initializer_list<Tensor> operands);

/// Moves bytes, computes nothing.
Cost move(std::initializer_list<Tensor> operands);
/// `per_element` operations for each of `elements`.
Cost elementwise(double per_element, double elements, std::initializer_list<Tensor> operands);

/// 2 m n k, and m n more for a residual or accumulation.
Cost product(double m, double n, double k, bool adds, std::initializer_list<Tensor> operands);

// Operations per element of the elementwise families.
inline constexpr double kRmsnorm = 4;          // x^2, +, * rstd, * w
inline constexpr double kRmsnormBackward = 9;  // dy w, its dot with x (2), dw (3), dx (3)
inline constexpr double kAddBias = 1;
inline constexpr double kSumColumns = 1;
inline constexpr double kScale = 2;            // product, sum
inline constexpr double kRope = 3;             // 4 products and 2 sums a pair
inline constexpr double kSwiglu = 5;           // exp, +, /, two products, an output
inline constexpr double kSwigluBackward = 12;  // silu again (4), its derivative (4), products (4)
inline constexpr double kCrossEntropy = 4;     // max, -, exp, +
inline constexpr double kCrossEntropyBackward = 4;  // -, exp, -, * scale
inline constexpr double kMerge = 6;                 // max, -, exp, product, two sums
inline constexpr double kScaledGradient = 4;        // * scale, two clamps, * coefficient
inline constexpr double kSquaredNorm = 3;           // * scale, ^2, +
inline constexpr double kInnerProduct = 6;          // three products, three sums
inline constexpr double kSgd = kScaledGradient + 3;
inline constexpr double kMomentum = kScaledGradient + 2;
inline constexpr double kAdamw = kScaledGradient + 14;
inline constexpr double kSquareSums = kScaledGradient + 3;  // ^2, two sums
inline constexpr double kDecayAverage = 4;
inline constexpr double kAdaLomoStatistics =
    kScaledGradient + 6;  // two factors, two squares and sums
inline constexpr double kAdaLomoUpdate = kScaledGradient + 6;

/// Query-key pairs a causal attention looks at: exact when all sequences are equally long and the
/// queries are the last rows of their sequences, as in a full pass and in generation.
double attention_pairs(Sequences const& q_rows, Sequences const& k_rows, double queries,
                       std::int64_t window);
/// Two products of width D a pair and head.
double attention_flops(double pairs, Heads const& heads);
/// Five: the scores again, dP, dV, dQ, dK.
double attention_backward_flops(double pairs, Heads const& heads);

}  // namespace lomo::cost

#include "cost.h"

#include <algorithm>

namespace lomo::cost {

double touched(std::initializer_list<Tensor> operands) {
  double bytes = 0;
  for (const Tensor t : operands) bytes += static_cast<double>(t.bytes());
  return bytes;
}

Cost move(std::initializer_list<Tensor> operands) {
  return {0, touched(operands)};
}

Cost elementwise(double per_element, double elements, std::initializer_list<Tensor> operands) {
  return {per_element * elements, touched(operands)};
}

Cost product(double m, double n, double k, bool adds, std::initializer_list<Tensor> operands) {
  return {2 * m * n * k + (adds ? m * n : 0), touched(operands)};
}

double attention_pairs(Sequences const& q_rows, Sequences const& k_rows, double queries,
                       std::int64_t window) {
  const auto q = static_cast<double>(q_rows.longest);
  const auto k = static_cast<double>(k_rows.longest);
  if (window == 0 || static_cast<double>(window) >= k || q == 0) {
    return queries * std::max(0.0, k - std::max(0.0, q - 1) / 2);
  }
  // The queries of a sequence see k - q + 1, ..., k keys, those after the first few the window's.
  const auto w = static_cast<double>(window);
  const double least = std::max(0.0, k - q + 1), growing = std::max(0.0, w - least + 1);
  return queries / q * (growing * (least + w) / 2 + (q - growing) * w);
}

double attention_flops(double pairs, Heads const& heads) {
  return 4 * pairs * static_cast<double>(heads.query) * static_cast<double>(heads.width);
}

double attention_backward_flops(double pairs, Heads const& heads) {
  return 10 * pairs * static_cast<double>(heads.query) * static_cast<double>(heads.width);
}

}  // namespace lomo::cost

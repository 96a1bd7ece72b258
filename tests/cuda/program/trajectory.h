#pragma once
#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "app/program.h"

/// What two engines may differ by in training one model.
namespace lomo::test {

struct Step {
  double loss, norm, lr;
};

/// The applied steps of the run's metrics: all of them, but for some first that may overflow.
inline std::vector<Step> steps_of_run(Workplace const& place, std::string const& name,
                                      bool may_overflow = false) {
  std::vector<Step> steps;
  std::istringstream lines(slurp(place / (name + "/metrics.jsonl")));
  for (std::string line; std::getline(lines, line);) {
    const auto event = nlohmann::json::parse(line);
    if (event["event"] != "step") continue;
    if (may_overflow && steps.empty() && event["outcome"] == "overflow") continue;
    REQUIRE(event["outcome"] == "applied");
    steps.push_back({event["loss"], event["grad_norm"], event["lr"]});
  }
  return steps;
}

struct Extents {
  double layers, depth, vocab, parameters;  // depth: of the longest sum of a product
};

/// Of a gradient in f32, relative. It is the end of three passes of about ten roundings a block and
/// three at the ends, each of a sum of at most `depth` terms, and rounding errors of n operations
/// add up to less than 6 sqrt(n) u but once in 10^7 (Higham & Mary 2019, theorem 2.4 with lambda =
/// 6).
inline double rounding_of(Extents const& e) {
  return 6 * std::sqrt(3 * (10 * e.layers + 3) * e.depth) * 0x1p-24;
}

/// Losses of two engines that round differently in f32. A loss is off by so much of what it is made
/// of, logits of about loss + log V; and by what the steps before it were off, each of which moved
/// the loss by at most lr |g| |u|. |u| is at most 1, clipped (LOMO), or the root of the number of
/// parameters, of root mean square at most 1 (AdaLomo).
inline void check_losses(std::vector<Step> const& got, std::vector<Step> const& wanted,
                         Extents const& e, bool adalomo) {
  const double epsilon = rounding_of(e);
  double moved = 0;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    const double size = wanted[k].loss + std::log(e.vocab);
    INFO("step " << k + 1 << ": " << got[k].loss << " for " << wanted[k].loss);
    CHECK(std::abs(got[k].loss - wanted[k].loss) <= epsilon * (size + moved));
    moved += wanted[k].lr * wanted[k].norm * (adalomo ? std::sqrt(e.parameters) : 1);
  }
}

}  // namespace lomo::test

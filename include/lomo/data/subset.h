#pragma once
#include <array>
#include <cstdint>
#include <vector>

namespace lomo {

/// CPython's random.Random for an unsigned 32-bit seed: MT19937 seeded by array, and sample(),
/// number for number. It serves to draw the published subsets; everything else uses core/random.h.
class CpythonRandom {
 public:
  explicit CpythonRandom(std::uint32_t seed);
  /// random.sample(range(n), k). Needs k <= n < 2^32.
  std::vector<std::int64_t> sample(std::int64_t n, std::int64_t k);

 private:
  std::uint32_t next_u32();
  std::int64_t below(std::int64_t n);

  std::array<std::uint32_t, 624> state_{};
  std::size_t at_ = 624;
};

/// How a data set is brought down to `cap` examples.
enum class Subset {
  published,  // random.seed(0), random.sample(examples, cap), in the order drawn
  seeded,     // the same of core/random.h, keyed by `seed`
  first,      // the first in file order
};
/// The indices to use. A set of no more than `cap` examples is used whole, in file order (0: no
/// cap).
std::vector<std::int64_t> choose_subset(Subset subset, std::int64_t count, std::int64_t cap,
                                        std::uint64_t seed = 0);

}  // namespace lomo

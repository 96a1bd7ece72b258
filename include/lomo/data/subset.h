#pragma once
#include <array>
#include <cstdint>
#include <string_view>
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
  all,        // no cap
  first,      // the first `cap` in file order
  published,  // random.seed(0), random.sample(examples, cap), in the order drawn
};
/// "all", "first", "published"; throws Error(Exit::usage) on anything else.
Subset parse_subset(std::string_view name);
/// The indices to use. Fewer than `cap` examples are used whole, in file order.
std::vector<std::int64_t> choose_subset(Subset subset, std::int64_t count, std::int64_t cap);

}  // namespace lomo

#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace lomo {

/// Names one stream of random numbers: hash of (seed, purpose, tensor name), and the step. Together
/// with an element index it determines every random number of a run, so there is no generator state
/// to save and nothing depends on tiles, threads or ranks.
struct RandomKey {
  std::uint64_t stream = 0;
  std::uint64_t step = 0;
};

/// stream = a 64-bit hash (XXH3) of seed, purpose ("round", "init", "shuffle", ...) and name.
RandomKey random_key(std::uint64_t seed, std::string_view purpose, std::string_view name,
                     std::uint64_t step);

/// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
/// Counter = (index, key.step), key = key.stream; returns four independent 32-bit words.
/// Element e of a tensor uses word e % 4 of index e / 4.
constexpr std::array<std::uint32_t, 4> philox(RandomKey key, std::uint64_t index) {
  std::uint32_t c0 = static_cast<std::uint32_t>(index);
  std::uint32_t c1 = static_cast<std::uint32_t>(index >> 32);
  std::uint32_t c2 = static_cast<std::uint32_t>(key.step);
  std::uint32_t c3 = static_cast<std::uint32_t>(key.step >> 32);
  std::uint32_t k0 = static_cast<std::uint32_t>(key.stream);
  std::uint32_t k1 = static_cast<std::uint32_t>(key.stream >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t p0 = std::uint64_t{0xD2511F53u} * c0;
    const std::uint64_t p1 = std::uint64_t{0xCD9E8D57u} * c2;
    const auto hi0 = static_cast<std::uint32_t>(p0 >> 32);
    const auto hi1 = static_cast<std::uint32_t>(p1 >> 32);
    c0 = hi1 ^ c1 ^ k0;
    c1 = static_cast<std::uint32_t>(p1);
    c2 = hi0 ^ c3 ^ k1;
    c3 = static_cast<std::uint32_t>(p0);
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  return {c0, c1, c2, c3};
}

/// A sequence of draws from one stream, for host-side work (shuffles, initialisation).
class RandomStream {
 public:
  explicit RandomStream(RandomKey key) : key_(key) {}
  std::uint32_t next_u32();
  /// Uniform in [0, n), unbiased (rejection).
  std::uint64_t below(std::uint64_t n);
  /// Uniform in [0, 1).
  double uniform();
  /// Standard normal (Box-Muller).
  double normal();

 private:
  RandomKey key_;
  std::uint64_t drawn_ = 0;
};

}  // namespace lomo

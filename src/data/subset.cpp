#include <bit>
#include <numeric>
#include <string>
#include <unordered_set>

#include "lomo/core/error.h"
#include "lomo/data/subset.h"
#include "shuffle.h"

namespace lomo {

namespace {

constexpr std::size_t kN = 624;
constexpr std::size_t kM = 397;

}  // namespace

CpythonRandom::CpythonRandom(std::uint32_t seed) {
  state_[0] = 19650218u;
  for (std::size_t i = 1; i < kN; ++i) {
    state_[i] =
        1812433253u * (state_[i - 1] ^ (state_[i - 1] >> 30)) + static_cast<std::uint32_t>(i);
  }
  // init_by_array with the one-word key {seed}: the key's index never leaves 0.
  std::size_t i = 1;
  const auto mixed = [&](std::uint32_t factor) {
    return state_[i] ^ ((state_[i - 1] ^ (state_[i - 1] >> 30)) * factor);
  };
  const auto advance = [&] {
    if (++i >= kN) {
      state_[0] = state_[kN - 1];
      i = 1;
    }
  };
  for (std::size_t k = 0; k < kN; ++k) {
    state_[i] = mixed(1664525u) + seed;
    advance();
  }
  for (std::size_t k = 1; k < kN; ++k) {
    state_[i] = mixed(1566083941u) - static_cast<std::uint32_t>(i);
    advance();
  }
  state_[0] = 0x80000000u;
}

std::uint32_t CpythonRandom::next_u32() {
  if (at_ == kN) {
    for (std::size_t i = 0; i < kN; ++i) {
      const std::uint32_t y = (state_[i] & 0x80000000u) | (state_[(i + 1) % kN] & 0x7fffffffu);
      state_[i] = state_[(i + kM) % kN] ^ (y >> 1) ^ ((y & 1u) != 0 ? 0x9908b0dfu : 0u);
    }
    at_ = 0;
  }
  std::uint32_t y = state_[at_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

std::int64_t CpythonRandom::below(std::int64_t n) {
  const int bits = std::bit_width(static_cast<std::uint64_t>(n));
  std::int64_t r = n;
  while (r >= n) r = next_u32() >> (32 - bits);
  return r;
}

std::vector<std::int64_t> CpythonRandom::sample(std::int64_t n, std::int64_t k) {
  if (k < 0 || k > n || n > UINT32_MAX) {
    throw Error("sample of " + std::to_string(k) + " out of " + std::to_string(n) +
                ": needs 0 <= k <= n < 2^32");
  }
  // Above this size CPython draws again on a repeat instead of keeping a pool:
  // 21 + 4 ** ceil(log(3 k, 4)) for k > 5.
  std::int64_t set_size = 21;
  if (k > 5) {
    std::int64_t power = 1;
    while (power < 3 * k) power *= 4;
    set_size += power;
  }
  std::vector<std::int64_t> result;
  result.reserve(static_cast<std::size_t>(k));
  if (n <= set_size) {
    std::vector<std::int64_t> pool(static_cast<std::size_t>(n));
    std::iota(pool.begin(), pool.end(), 0);
    for (std::int64_t i = 0; i < k; ++i) {
      const auto j = static_cast<std::size_t>(below(n - i));
      result.push_back(pool[j]);
      pool[j] = pool[static_cast<std::size_t>(n - i - 1)];
    }
    return result;
  }
  std::unordered_set<std::int64_t> taken;
  for (std::int64_t i = 0; i < k; ++i) {
    std::int64_t j = below(n);
    while (!taken.insert(j).second) j = below(n);
    result.push_back(j);
  }
  return result;
}

std::vector<std::int64_t> choose_subset(Subset subset, std::int64_t count, std::int64_t cap,
                                        std::uint64_t seed) {
  const bool whole = cap <= 0 || count <= cap;
  if (!whole && subset == Subset::published) return CpythonRandom(0).sample(count, cap);
  std::vector<std::int64_t> indices;
  if (!whole && subset == Subset::seeded) {
    indices = shuffled(count, random_key(seed, "subset", "", 0));
  } else {
    indices.resize(static_cast<std::size_t>(count));
    std::iota(indices.begin(), indices.end(), 0);
  }
  if (!whole) indices.resize(static_cast<std::size_t>(cap));
  return indices;
}

}  // namespace lomo

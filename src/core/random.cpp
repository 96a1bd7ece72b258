#include "lomo/core/random.h"

#include <xxhash.h>

#include <cmath>
#include <numbers>
#include <string>

namespace lomo {

RandomKey random_key(std::uint64_t seed, std::string_view purpose, std::string_view name,
                     std::uint64_t step) {
  std::string text(purpose);
  text.push_back('\0');
  text.append(name);
  return {XXH3_64bits_withSeed(text.data(), text.size(), seed), step};
}

std::uint32_t RandomStream::next_u32() {
  const std::uint64_t n = drawn_++;
  return philox(key_, n / 4)[n % 4];
}

std::uint64_t RandomStream::below(std::uint64_t n) {
  const auto draw = [this] {
    const std::uint64_t high = next_u32();
    return (high << 32) | next_u32();
  };
  const std::uint64_t remainder = (UINT64_MAX % n + 1) % n;  // 2^64 mod n
  std::uint64_t x = draw();
  while (x > UINT64_MAX - remainder) x = draw();
  return x % n;
}

double RandomStream::uniform() {
  return next_u32() * 0x1p-32;
}

double RandomStream::normal() {
  const double radius = std::sqrt(-2.0 * std::log((next_u32() + 0.5) * 0x1p-32));
  return radius * std::cos(2.0 * std::numbers::pi * uniform());
}

}  // namespace lomo

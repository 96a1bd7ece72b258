#pragma once
#include <cstddef>
#include <string>

namespace lomo {

inline constexpr double kGib = 1u << 30, kMib = 1u << 20;

/// As printf; at most 511 characters of it.
[[gnu::format(printf, 1, 2)]] std::string format(char const* pattern, ...);

/// "14.21 GiB", or MiB below a tenth of one.
std::string gib(std::size_t bytes);

}  // namespace lomo

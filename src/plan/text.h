#pragma once
#include <cstddef>
#include <string>

namespace lomo {

inline constexpr double kGib = 1u << 30, kMib = 1u << 20, kKib = 1u << 10;

/// As printf; at most 511 characters of it.
[[gnu::format(printf, 1, 2)]] std::string format(char const* pattern, ...);

/// "14.21 GiB"; MiB below a tenth of one, and KiB below a tenth of that.
std::string gib(std::size_t bytes);
/// "723.9 Tflop", "2.854 Mflop".
std::string flops_text(double flops);
/// "10.481 s", "0.143 ms".
std::string seconds_text(double seconds);

}  // namespace lomo

#include "text.h"

#include <array>
#include <cstdarg>
#include <cstdio>

namespace lomo {

std::string format(char const* pattern, ...) {
  std::array<char, 512> text{};
  va_list arguments;
  va_start(arguments, pattern);
  std::vsnprintf(text.data(), text.size(), pattern, arguments);
  va_end(arguments);
  return text.data();
}

std::string gib(std::size_t bytes) {
  const auto b = static_cast<double>(bytes);
  if (b >= kGib / 10) return format("%.2f GiB", b / kGib);
  return b >= kMib / 10 ? format("%.2f MiB", b / kMib) : format("%.2f KiB", b / kKib);
}

std::string flops_text(double flops) {
  constexpr std::array<char const*, 4> kUnits{"Mflop", "Gflop", "Tflop", "Pflop"};
  double value = flops / 1e6;
  std::size_t unit = 0;
  while (value >= 1000 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return format("%.4g %s", value, kUnits[unit]);
}

std::string seconds_text(double seconds) {
  if (seconds >= 0.01) return format("%.3f s", seconds);
  return seconds >= 1e-5 ? format("%.3f ms", seconds * 1e3) : format("%.3f us", seconds * 1e6);
}

}  // namespace lomo

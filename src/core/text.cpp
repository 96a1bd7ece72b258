#include "lomo/core/text.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstdlib>

namespace lomo {

namespace {

template <class... Args>
std::string format(char const* pattern, Args... args) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), pattern, args...);
  return text.data();
}

/// A comma before every third of the digits that `text` begins with.
std::string separated(std::string text) {
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  std::size_t at = std::min(text.find_first_not_of("0123456789", first), text.size());
  while (at > first + 3) text.insert(at -= 3, ",");
  return text;
}

/// Without the zeros that end its fraction.
std::string trimmed(std::string text) {
  if (text.find('.') == std::string::npos) return text;
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text;
}

}  // namespace

std::string human_count(std::int64_t n) {
  return separated(std::to_string(n));
}

std::string counted(std::int64_t n, std::string_view one, std::string_view many) {
  std::string text = human_count(n) + " " + std::string(n == 1 || many.empty() ? one : many);
  return n == 1 || !many.empty() ? text : text + "s";
}

std::string human_number(double value) {
  constexpr int kDigits = 4;
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  if (value == 0) return "0";
  const double size = std::abs(value);
  if (size < 0.99995e-4 || size >= 1e15) {
    const std::string text = format("%.3e", value);
    const std::size_t exponent = text.find('e');
    return trimmed(text.substr(0, exponent)) + text.substr(exponent);
  }
  const int before = static_cast<int>(std::floor(std::log10(size))) + 1;  // digits before the point
  return trimmed(separated(format("%.*f", std::max(0, kDigits - before), value)));
}

std::string human_percent(double share) {
  const double percent = 100 * share;
  if (!std::isfinite(percent)) return human_number(percent) + " %";
  // What is not quite nothing or everything is not rounded to it.
  const bool fine =
      percent != 0 && (std::abs(percent) < 9.95 || (percent >= 99.5 && percent < 100));
  std::string text = format(fine ? "%.1f" : "%.0f", percent);
  if (fine && text == "0.0") text = human_number(percent);
  if (fine && text == "100.0") text = "99.9";
  return separated(text) + " %";
}

std::string human_bytes(std::size_t bytes) {
  constexpr std::array<char const*, 6> kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return separated(format(unit == 0 ? "%.0f" : "%.1f", value)) + " " + kUnits[unit];
}

std::string human_duration(double seconds) {
  seconds = std::max(0.0, seconds);
  if (seconds < 9.95) return format("%.1f s", seconds);
  const auto total = std::llround(seconds);
  if (total < 60) return format("%lld s", total);
  if (total < 3600) return format("%lld min %lld s", total / 60, total % 60);
  const auto minutes = std::llround(seconds / 60);
  if (minutes < 24 * 60) return format("%lld h %lld min", minutes / 60, minutes % 60);
  const auto hours = std::llround(seconds / 3600);
  return format("%lld d %lld h", hours / 24, hours % 24);
}

std::string clock_time(double seconds) {
  const auto total = std::llround(std::max(0.0, seconds));
  if (total < 3600) return format("%lld:%02lld", total / 60, total % 60);
  return format("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
}

std::string human_parameters(std::int64_t n) {
  constexpr std::array<char const*, 4> kUnits{"", " K", " M", " B"};
  double value = static_cast<double>(n);
  std::size_t unit = 0;
  while (value >= 999.95 && unit + 1 < kUnits.size()) {
    value /= 1000;
    ++unit;
  }
  return separated(trimmed(format(unit > 0 && value < 99.95 ? "%.1f" : "%.0f", value))) +
         kUnits[unit];
}

std::string shell_quoted(std::string const& text) {
  constexpr std::string_view kPlain =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./=:,+@%";
  if (!text.empty() && text.find_first_not_of(kPlain) == std::string::npos) return text;
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace lomo

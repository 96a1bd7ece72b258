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
  return b >= kGib / 10 ? format("%.2f GiB", b / kGib) : format("%.2f MiB", b / kMib);
}

}  // namespace lomo

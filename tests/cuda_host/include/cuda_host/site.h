#pragma once
#include <cstdint>

namespace cuda_host {

/// A line of a kernel. Device functions take it as a defaulted last argument, filled in where they
/// are called.
struct Site {
  constexpr Site() = default;
  constexpr Site(char const* f, int l) : file(f), line(l) {}
  bool operator==(Site const&) const = default;
  char const* file = "";
  int line = 0;
};

}  // namespace cuda_host

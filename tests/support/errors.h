#pragma once
#include <string>

#include "lomo/core/error.h"
#include "support/catch.h"

namespace lomo::test {

/// Runs f, which must throw a lomo::Error with this exit code; returns its message.
template <class F>
std::string error_of(Exit exit, F&& f) {
  try {
    f();
  } catch (Error const& error) {
    INFO(error.what());
    CHECK(error.code() == exit);
    return error.what();
  }
  FAIL("no error");
  return {};
}

inline bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace lomo::test

#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
constexpr int kSkipped = 4;  // what version 3's own CMake code takes for skipped
#else
#define CATCH_CONFIG_RUNNER
#include <catch2/catch.hpp>
constexpr int kSkipped = 77;  // tests/CMakeLists.txt; failures are small numbers in version 2
#endif

#include <cstdio>
#include <string_view>

#include "support/data.h"

constexpr int kCannotRun = 77;  // of a program, whatever the version: tests/gpu/CMakeLists.txt

/// Nothing, unless a test program says something else.
[[gnu::weak]] std::string lomo::test::unavailable_reason() {
  return {};
}

int main(int argc, char** argv) {
  const bool lists = argc > 1 && std::string_view(argv[1]).starts_with("--list");
  if (const std::string why = lists ? "" : lomo::test::unavailable_reason(); !why.empty()) {
    std::printf("skipped: %s\n", why.c_str());
    return kCannotRun;
  }
  const int failed = Catch::Session().run(argc, argv);
  if (failed == 0 && lomo::test::skipped) return kSkipped;
  return failed == kSkipped ? 1 : failed;  // that many failures are no skip
}

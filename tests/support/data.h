#pragma once
#include <cstdlib>
#include <filesystem>
#include <string>

namespace lomo::test {

/// Set by tests that could not run; the program then exits with a code that ctest counts as
/// skipped.
inline bool skipped = false;

/// Why none of a program's tests can run on this machine; empty: they can. A program whose tests
/// need a device defines it; the others have one that is empty.
std::string unavailable_reason();

/// The folder of real checkpoints, tokenizers and task files, empty when LOMO_TEST_DATA is unset.
inline std::filesystem::path data_dir() {
  char const* dir = std::getenv("LOMO_TEST_DATA");
  return dir == nullptr ? std::filesystem::path() : std::filesystem::path(dir);
}

}  // namespace lomo::test

/// Leaves a test that cannot run here, or not to its end, and counts it as skipped.
#define LOMO_SKIP(why)            \
  do {                            \
    ::lomo::test::skipped = true; \
    WARN("skipped: " << (why));   \
    return;                       \
  } while (false)

/// First statement of a test that reads real data: skips it where there is none.
#define LOMO_NEEDS_DATA() \
  if (::lomo::test::data_dir().empty()) LOMO_SKIP("LOMO_TEST_DATA unset")

#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "lomo/core/error.h"
#include "support/catch.h"

namespace lomo::test {

/// A folder of this process, removed when it ends (test cases run side by side).
inline std::filesystem::path const& scratch_root() {
  struct Root {
    std::filesystem::path path =
        std::filesystem::temp_directory_path() / ("lomo_test_data_" + std::to_string(getpid()));
    ~Root() {
      std::error_code ignored;
      std::filesystem::remove_all(path, ignored);
    }
  };
  static const Root root;
  return root.path;
}

/// An empty folder of this name, made anew.
inline std::filesystem::path scratch(std::string const& name) {
  std::filesystem::path path = scratch_root() / name;
  std::filesystem::remove_all(path);
  std::filesystem::create_directories(path);
  return path;
}

inline std::filesystem::path write_file(std::filesystem::path const& path,
                                        std::string const& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

/// The message of the lomo::Error with this code that `call` throws.
std::string refusal(Exit code, auto&& call) {
  try {
    call();
  } catch (Error const& error) {
    CHECK(error.code() == code);
    return error.what();
  }
  FAIL("nothing was thrown");
  return "";
}

inline bool has(std::string const& text, std::string const& part) {
  UNSCOPED_INFO("looking for \"" << part << "\" in \"" << text << "\"");
  return text.find(part) != std::string::npos;
}

}  // namespace lomo::test

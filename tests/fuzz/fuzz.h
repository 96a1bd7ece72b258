#pragma once
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "lomo/core/error.h"

/// What the fuzz targets share. A target hands bytes to a reader; the reader may refuse them with
/// lomo::Error and nothing else: any other exception, a crash or a sanitizer's report is a finding.
namespace lomo::fuzz {

inline std::string_view text(std::uint8_t const* data, std::size_t size) {
  return {reinterpret_cast<char const*>(data), size};
}

/// A folder of this process in memory where there is /dev/shm, with files for readers that want a
/// path.
inline std::filesystem::path const& folder() {
  static const std::filesystem::path path = [] {
    const std::filesystem::path shm = "/dev/shm";
    const auto base =
        std::filesystem::is_directory(shm) ? shm : std::filesystem::temp_directory_path();
    auto made = base / ("lomo-fuzz-" + std::to_string(::getpid()));
    std::filesystem::create_directories(made);
    return made;
  }();
  return path;
}

inline std::filesystem::path file(char const* name, std::string_view bytes) {
  const std::filesystem::path path = folder() / name;
  std::ofstream(path, std::ios::binary | std::ios::trunc)
      .write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return path;
}

/// Runs a reader; lomo::Error is an answer.
template <class F>
int refusable(F&& read) {
  try {
    read();
  } catch (Error const&) {
    return 0;
  }
  return 0;
}

}  // namespace lomo::fuzz

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size);

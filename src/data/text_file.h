#pragma once
#include <cstddef>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

#include "lomo/io/files.h"

namespace lomo {

/// A plain text file: mapped, so that the system takes its pages back when it needs them, or in
/// memory where it is gzipped or can be read but once (a pipe).
class TextFile {
 public:
  /// Throws Error(Exit::data) as Bytes does.
  explicit TextFile(std::filesystem::path const& file);

  /// All of it, without a byte order mark.
  std::string_view bytes() const { return bytes_; }

 private:
  std::unique_ptr<MappedFile> mapped_;
  std::string memory_;
  std::string_view bytes_;
};

/// Where `separator`, whose lines end with \n, next stands in a text, whose lines may end with
/// \r\n and whose last line may have no end: from `begin` to `end`, both the text's size when it
/// does not. An empty one stands nowhere.
struct SeparatorPlace {
  std::size_t begin = 0, end = 0;
};
SeparatorPlace find_separator(std::string_view text, std::size_t from, std::string_view separator);

/// The stretch without line ends around it.
std::string_view without_outer_lines(std::string_view text);

/// Throws Error(Exit::data) naming the line of `file` in which bytes that are not UTF-8 stand.
/// `part` is a part of `whole`, the file's bytes.
void require_utf8(std::string_view part, std::string_view whole, std::filesystem::path const& file);

}  // namespace lomo

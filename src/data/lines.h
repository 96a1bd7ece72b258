#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "bytes.h"
#include "lomo/core/activity.h"

namespace lomo {

/// Lines of a text file, one at a time: without their end (\n or \r\n) and without a byte order
/// mark, checked to be UTF-8. The file may be gzipped. Throws Error(Exit::data) naming file:line,
/// and as Bytes does.
class Lines {
 public:
  explicit Lines(std::filesystem::path const& file);
  /// False at the end of the file.
  bool next();
  std::string const& text() const { return line_; }
  std::filesystem::path const& file() const { return file_; }
  /// Of the line, from 1.
  std::int64_t number() const { return number_; }
  /// "data/train.jsonl:17", for messages: the path as it was given.
  std::string where() const;

 private:
  bool read_line();

  std::filesystem::path file_;
  Bytes in_;
  Activity activity_;
  std::string_view rest_;    // of what was read last
  std::uint64_t shown_ = 0;  // how much of the file the activity knows of
  std::string line_;
  std::int64_t number_ = 0;
};

/// Throws Error(Exit::data): a line that is not UTF-8 at this byte, counted from 0.
[[noreturn]] void refuse_encoding(std::filesystem::path const& file, std::int64_t number,
                                  std::string_view line, std::size_t byte);

/// Throws Error(Exit::data) naming the file when nothing was read from it.
void require_some(std::size_t count, std::filesystem::path const& file);

}  // namespace lomo

#include "lines.h"

#include <system_error>

#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

namespace {

// Longer lines are no records but a file that is not made of lines.
constexpr std::size_t kLongestLine = std::size_t{256} << 20;

/// 0 where it is not known, as of a pipe.
double size_of(std::filesystem::path const& file) {
  std::error_code error;
  const auto bytes = std::filesystem::file_size(file, error);
  return error ? 0 : static_cast<double>(bytes);
}

}  // namespace

Lines::Lines(std::filesystem::path const& file)
    : file_(file),
      in_(file, std::ios::binary),
      activity_("reading " + file.string(), size_of(file), Activity::Unit::bytes) {
  if (!in_ || std::filesystem::is_directory(file)) {
    throw Error(Exit::data, file.string() + ": cannot be opened; is the path right?");
  }
}

std::string Lines::where() const {
  return file_.filename().string() + ":" + std::to_string(number_);
}

bool Lines::read_line() {
  line_.clear();
  char part[1 << 14];
  // getline() into a small buffer fails without end of file when the line goes on.
  while (true) {
    in_.getline(part, sizeof part);
    const auto count = static_cast<std::size_t>(in_.gcount());
    if (in_.bad()) throw Error(Exit::data, file_.string() + ": reading failed");
    if (in_.eof()) {
      line_.append(part, count);
      return !line_.empty();
    }
    if (!in_.fail()) {
      line_.append(part, count - 1);  // the newline counts as read
      return true;
    }
    line_.append(part, count);
    in_.clear();
    if (line_.size() > kLongestLine) {
      throw Error(Exit::data, file_.string() + ":" + std::to_string(number_ + 1) +
                                  ": a line of more than 256 MiB; is this a text file?");
    }
  }
}

void require_some(std::size_t count, std::filesystem::path const& file) {
  if (count > 0) return;
  throw Error(Exit::data, file.string() + ": holds no records; was the file written whole?");
}

bool Lines::next() {
  if (!in_.good() || !read_line()) return false;
  ++number_;
  activity_.advance(static_cast<double>(line_.size() + 1));
  if (number_ == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.erase(0, 3);
  if (line_.ends_with('\r')) line_.pop_back();
  if (const auto bad = invalid_utf8(line_)) {
    throw Error(Exit::data, file_.string() + ":" + std::to_string(number_) +
                                ": not UTF-8 at byte " + std::to_string(*bad + 1) +
                                " of the line; convert the file to UTF-8");
  }
  return true;
}

}  // namespace lomo

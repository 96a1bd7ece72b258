#include "lines.h"

#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

namespace {

// Longer lines are no records but a file that is not made of lines.
constexpr std::size_t kLongestLine = std::size_t{256} << 20;

}  // namespace

Lines::Lines(std::filesystem::path const& file)
    : file_(file),
      in_(file),
      activity_("reading " + file.string(), in_.size(), Activity::Unit::bytes) {}

std::string Lines::where() const {
  return file_.string() + ":" + std::to_string(number_);
}

bool Lines::read_line() {
  line_.clear();
  for (bool any = false;; any = true) {
    if (rest_.empty()) {
      rest_ = in_.next();
      activity_.advance(static_cast<double>(in_.taken() - shown_));
      shown_ = in_.taken();
      if (rest_.empty()) return any;
    }
    const std::size_t end = rest_.find('\n');
    line_.append(rest_.substr(0, end));
    if (end != std::string_view::npos) {
      rest_.remove_prefix(end + 1);
      return true;
    }
    rest_ = {};
    if (line_.size() > kLongestLine) {
      throw Error(Exit::data, file_.string() + ":" + std::to_string(number_ + 1) +
                                  ": a line of more than 256 MiB; write one record or paragraph "
                                  "a line");
    }
  }
}

void refuse_encoding(std::filesystem::path const& file, std::int64_t number, std::string_view line,
                     std::size_t byte) {
  const bool utf16 = number == 1 && (line.starts_with("\xFF\xFE") || line.starts_with("\xFE\xFF"));
  throw Error(Exit::data, file.string() + ":" + std::to_string(number) + ": not UTF-8 at byte " +
                              std::to_string(byte + 1) + " of the line; " +
                              (utf16 ? "this is UTF-16: convert it (iconv -f UTF-16 -t UTF-8)"
                                     : "convert the file to UTF-8"));
}

void require_some(std::size_t count, std::filesystem::path const& file) {
  if (count > 0) return;
  throw Error(Exit::data, file.string() + ": holds no records; was the file written whole?");
}

bool Lines::next() {
  if (!read_line()) return false;
  ++number_;
  if (number_ == 1 && line_.starts_with("\xEF\xBB\xBF")) line_.erase(0, 3);
  if (line_.ends_with('\r')) line_.pop_back();
  if (const auto bad = invalid_utf8(line_)) refuse_encoding(file_, number_, line_, *bad);
  return true;
}

}  // namespace lomo

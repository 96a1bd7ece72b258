#include "text_file.h"

#include <algorithm>
#include <system_error>

#include "bytes.h"
#include "lines.h"
#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/data/readers.h"
#include "text.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

/// How many bytes of `text` from `at` on are `separator`; 0 when it does not stand there.
std::size_t separator_at(std::string_view text, std::size_t at, std::string_view separator) {
  const std::size_t begin = at;
  for (std::size_t i = 0; i < separator.size(); ++i) {
    const bool ends_line = separator[i] == '\n';
    if (at == text.size()) {
      // The last line's end may be missing.
      const bool missing = ends_line && i + 1 == separator.size() && !text.ends_with('\n');
      return missing ? at - begin : 0;
    }
    if (ends_line && text.substr(at, 2) == "\r\n") ++at;
    if (text[at] != separator[i]) return 0;
    ++at;
  }
  return at - begin;
}

}  // namespace

TextFile::TextFile(fs::path const& file) {
  Bytes bytes(file);
  Activity activity("reading " + file.string(), bytes.size(), Activity::Unit::bytes);
  std::string_view more = bytes.next();
  std::error_code error;
  if (!bytes.compressed() && fs::is_regular_file(file, error)) {
    mapped_ = std::make_unique<MappedFile>(file, Exit::data);
    const auto mapped = mapped_->bytes();
    bytes_ = {reinterpret_cast<char const*>(mapped.data()), mapped.size()};
  } else {
    for (std::uint64_t shown = 0; !more.empty(); more = bytes.next()) {
      memory_ += more;
      activity.advance(static_cast<double>(bytes.taken() - shown));
      shown = bytes.taken();
    }
    bytes_ = memory_;
  }
  if (bytes_.starts_with(kByteOrderMark)) bytes_.remove_prefix(kByteOrderMark.size());
  if (bytes_.ends_with('\r')) bytes_.remove_suffix(1);  // of a last line without \n
}

SeparatorPlace find_separator(std::string_view text, std::size_t from, std::string_view separator) {
  if (separator.empty()) return {text.size(), text.size()};
  const std::string_view first = separator.starts_with('\n') ? "\r\n" : separator.substr(0, 1);
  for (std::size_t at = text.find_first_of(first, from); at < text.size();
       at = text.find_first_of(first, at + 1)) {
    const std::size_t size = separator_at(text, at, separator);
    if (size > 0) return {at, at + size};
  }
  return {text.size(), text.size()};
}

std::string_view without_outer_lines(std::string_view text) {
  while (text.starts_with('\n') || text.starts_with("\r\n")) {
    text.remove_prefix(text.starts_with('\n') ? 1 : 2);
  }
  while (text.ends_with('\n')) text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
  return text;
}

std::string with_plain_lines(std::string_view bytes) {
  std::string text;
  text.reserve(bytes.size());
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t end = std::min(bytes.find("\r\n", at), bytes.size());
    text += bytes.substr(at, end - at);
    at = end + (end < bytes.size() ? 1 : 0);
  }
  return text;
}

void require_utf8(std::string_view part, std::string_view whole, fs::path const& file) {
  const auto bad = invalid_utf8(part);
  if (!bad) return;
  const std::size_t at = static_cast<std::size_t>(part.data() - whole.data()) + *bad;
  const std::string_view before = whole.substr(0, at);
  const std::size_t line = before.rfind('\n') + 1;  // of npos: 0
  refuse_encoding(file, 1 + std::count(before.begin(), before.end(), '\n'), whole.substr(line),
                  at - line);
}

}  // namespace lomo

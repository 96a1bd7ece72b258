// One document of a large file, encoded by all threads.
#include <algorithm>
#include <atomic>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "document_step.h"
#include "lomo/core/activity.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/data/encode.h"
#include "lomo/data/encoding_stream.h"
#include "text.h"
#include "tokenizers/unicode.h"

namespace lomo {

namespace {

using tokenizers::last_character;
using tokenizers::next_character;

/// A stretch of a document's bytes.
struct Part {
  std::string_view bytes;  // begins with the character left of the cut, but the first part
  std::size_t behind = 0;  // bytes of that character
  bool first = false, last = false;
};

/// Finds the places at which a text is cut.
class Cutter {
 public:
  Cutter(Tokenizer const& tokenizer, std::string_view text) : tokenizer_(tokenizer), text_(text) {}

  /// Before or at `wanted` but behind `after`, else the first one behind `wanted`, else the end.
  std::size_t find(std::size_t after, std::size_t wanted) {
    for (std::size_t at = std::min(wanted, text_.size()); at > after; --at) {
      if (at == text_.size() || may_cut(at)) return at;
    }
    std::size_t at = wanted + 1;
    while (at < text_.size() && !may_cut(at)) ++at;
    return std::min(at, text_.size());
  }

 private:
  bool may_cut(std::size_t at) {
    if (!starts_character(text_, at)) return false;
    std::size_t before = last_character(text_, at);
    const char32_t left = next_character(text_, before);
    const char32_t right = next_character(text_, at);
    if (left == U'\r' || right == U'\r') return false;  // may go with the line's end
    const std::uint64_t pair = (static_cast<std::uint64_t>(left) << 32) | right;
    const auto [known, is_new] = known_.emplace(pair, false);
    if (is_new) known->second = tokenizer_.may_cut(left, right);
    return known->second;
  }

  Tokenizer const& tokenizer_;
  std::string_view text_;
  std::unordered_map<std::uint64_t, bool> known_;  // by both characters
};

void warn_of_whole(std::string const& where, std::size_t bytes) {
  log::warn(
      "{}: a document of {} is encoded whole, by one thread and in some {} of memory, since it "
      "cannot be told where this tokenizer's texts may be cut; part it with "
      "data.document_separator, or write a document a line to a .jsonl file",
      where, human_bytes(bytes), human_bytes(8 * bytes));
}

}  // namespace

void encode_long_document(Tokenizer const& tokenizer, Document const& document,
                          std::int64_t max_length, std::int64_t index, std::int32_t copies,
                          DatasetWriter& out, std::size_t part) {
  const std::string_view text = document.file ? document.bytes : std::string_view(document.text);
  std::atomic<bool> special = false;
  const auto encode = [&](std::span<Part const> parts) {
    Dataset data;
    for (Part const& p : parts) {
      const std::string plain = document.file ? with_plain_lines(p.bytes) : std::string(p.bytes);
      std::vector<std::int32_t> ids =
          p.first ? tokenizer.encode(plain) : tokenizer.encode_behind(plain, p.behind);
      const std::string_view own = std::string_view(plain).substr(p.behind);
      if (!tokenizer.parses_special() &&
          tokenizer.count_special(own, data.statistics.special_text_counts)) {
        special = true;
      }
      if (tokenizer.unknown() >= 0) {
        data.statistics.unknown_ids += std::count(ids.begin(), ids.end(), tokenizer.unknown());
      }
      if (p.first) data.add_ids(tokenizer.before());
      data.add_ids(ids);
      if (p.last) data.add_ids(tokenizer.closing());
    }
    return data;
  };
  const std::int64_t first_id = out.ids();
  Activity activity("tokenizing " + document.where, static_cast<double>(text.size()),
                    Activity::Unit::bytes);
  EncodingStream<Part> stream(out, encode, encoding_threads());
  Cutter cutter(tokenizer, text);
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = cutter.find(at, at + part);
    if (at == 0 && end == text.size()) warn_of_whole(document.where, text.size());
    const std::size_t behind = at == 0 ? 0 : at - last_character(text, at);
    stream.add({text.substr(at - behind, end - at + behind), behind, at == 0, end == text.size()},
               end - at);
    activity.advance(static_cast<double>(end - at));
    at = end;
  }
  stream.finish();
  Dataset found;  // what is said once of the document
  if (special) found.statistics.special_texts.add(document.where);
  out.append(found, index);
  out.end_document(first_id, document_step(max_length), document.where, index, copies);
}

}  // namespace lomo

#include "lomo/data/example_view.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <string_view>

#include "lomo/core/text.h"
#include "text.h"

namespace lomo {

namespace {

constexpr std::string_view kOpen = "\xE2\x9F\xA6", kClose = "\xE2\x9F\xA7";  // ⟦ ⟧
constexpr std::string_view kMore = "\xE2\x80\xA6";                           // …
constexpr std::string_view kBar = "\xE2\x96\x88";                            // █
constexpr std::string_view kColour = "\x1b[32m", kPlain = "\x1b[0m";
constexpr std::int64_t kRanges = 10;
constexpr std::int64_t kLongestBar = 40;

/// Bytes of `text` with those escaped that are no text, or that a terminal obeys.
std::string printable(std::string_view text, std::string_view kept_controls) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t bad = at + invalid_utf8(text.substr(at)).value_or(text.size() - at);
    for (; at < bad; ++at) {
      const char c = text[at];
      const auto byte = static_cast<unsigned char>(c);
      if ((byte >= 0x20 && byte != 0x7f) || kept_controls.find(c) != std::string_view::npos) {
        out += c;
      } else if (c == '\n') {
        out += "\\n";
      } else {
        std::array<char, 8> code{};
        std::snprintf(code.data(), code.size(), "\\x%02x", byte);
        out += code.data();
      }
    }
    if (at < text.size()) {
      std::array<char, 8> code{};
      std::snprintf(code.data(), code.size(), "\\x%02x", static_cast<unsigned char>(text[at++]));
      out += code.data();
    }
  }
  return out;
}

/// Writes the marks where loss begins and ends.
class Marks {
 public:
  explicit Marks(bool colour) : colour_(colour) {}
  /// To be called with whether what follows carries loss; returns what goes before it.
  std::string before(bool loss) {
    std::string text;
    if (loss == open_) return text;
    if (loss && colour_) text += kColour;
    text += loss ? kOpen : kClose;
    if (!loss && colour_) text += kPlain;
    open_ = loss;
    return text;
  }

 private:
  bool colour_;
  bool open_ = false;
};

std::string name_of(Tokenizer const* tokenizer, std::int32_t id) {
  const std::string number = std::to_string(id);
  if (tokenizer == nullptr) return number;
  const std::string piece = tokenizer->piece(id);
  return printable(piece, "") + "/" + number;
}

}  // namespace

std::vector<SeenId> seen_ids(SequenceView sequence) {
  std::vector<SeenId> ids;
  for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
    const bool learnt = i > 0 && sequence.targets[i - 1] != kNoTarget;
    ids.push_back({sequence.tokens[i], learnt});
  }
  if (!sequence.targets.empty() && sequence.targets.back() != kNoTarget) {
    ids.push_back({sequence.targets.back(), true});
  }
  return ids;
}

std::string view_pieces(Tokenizer const* tokenizer, SequenceView sequence,
                        ViewOptions const& options) {
  const std::vector<SeenId> ids = seen_ids(sequence);
  const auto loss = std::ranges::find_if(ids, [](SeenId const& seen) { return seen.loss; });
  const auto mark = static_cast<std::size_t>(loss - ids.begin());
  const std::size_t around = options.pieces > 0 ? options.pieces : ids.size();
  const std::size_t begin = mark - std::min(mark, around);
  const std::size_t end = std::min(ids.size(), mark + around);
  std::string text;
  if (begin > 0) {  // the first always, since it tells whether there is a bos
    text = name_of(tokenizer, ids.front().id) + " ";
    if (begin > 1) text += std::string(kMore) + " ";
  }
  Marks marks(options.colour);
  for (std::size_t i = begin; i < end; ++i) {
    const std::string change = marks.before(ids[i].loss);
    if (!ids[i].loss) text += change;
    if (i > begin) text += " ";
    if (ids[i].loss) text += change;
    text += name_of(tokenizer, ids[i].id);
  }
  if (end < ids.size()) {
    text += " " + std::string(kMore) + " " +
            human_count(static_cast<std::int64_t>(ids.size() - end)) + " more";
  }
  return text + marks.before(false);
}

std::string view_text(Tokenizer const& tokenizer, SequenceView sequence,
                      ViewOptions const& options) {
  std::string text, part;
  Marks marks(options.colour);
  bool loss = false;
  const auto flush = [&] {  // a character may lie in several tokens
    text += printable(part, "\n\t");
    part.clear();
  };
  for (SeenId const& seen : seen_ids(sequence)) {
    if (seen.loss != loss) {
      flush();
      text += marks.before(seen.loss);
      loss = seen.loss;
    }
    const std::string bytes = tokenizer.piece_text(seen.id);
    part += bytes.empty() ? tokenizer.piece(seen.id) : bytes;
  }
  flush();
  return text + marks.before(false);
}

std::string describe_named_tokens(Tokenizer const& tokenizer) {
  std::string text;
  for (NamedToken const& token : tokenizer.named_tokens()) {
    text += (text.empty() ? "" : ", ") + token.name + " ";
    if (token.id < 0) {
      text += "none";
      continue;
    }
    const std::string piece = tokenizer.piece(token.id);
    text += std::to_string(token.id) + " " +
            (piece.empty() ? "(no piece of the tokenizer)" : "\"" + printable(piece, "") + "\"") +
            " (" + token.origin + ")";
  }
  const auto unusual = [&](char const* verb, std::vector<std::int32_t> const& ids,
                           std::int32_t usual) {
    if (usual < 0 || (ids.size() == 1 && ids.front() == usual)) return;
    text += std::string("; texts ") + verb + " with " + (ids.empty() ? "no token" : "");
    for (const std::int32_t id : ids) {
      text += "\"" + printable(tokenizer.piece(id), "") + "\"" + (id == ids.back() ? "" : " ");
    }
  };
  unusual("start", tokenizer.before(), tokenizer.bos());
  unusual("end", tokenizer.closing(), tokenizer.eos());
  return text;
}

std::string length_histogram(std::vector<std::int64_t> const& lengths) {
  if (lengths.empty()) return "";
  const auto [minimum, maximum] = std::ranges::minmax(lengths);
  const std::int64_t width = (maximum - minimum) / kRanges + 1;
  std::vector<std::int64_t> counts(static_cast<std::size_t>((maximum - minimum) / width) + 1);
  for (const std::int64_t length : lengths) {
    counts[static_cast<std::size_t>((length - minimum) / width)] += 1;
  }
  const std::int64_t highest = std::ranges::max(counts);
  std::string text;
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const std::int64_t from = minimum + static_cast<std::int64_t>(i) * width;
    const std::int64_t to = std::min(from + width - 1, maximum);
    std::string range = human_count(from);
    if (to > from) range += " to " + human_count(to);
    std::array<char, 64> head{};
    std::snprintf(head.data(), head.size(), "  %18s %9s ", range.c_str(),
                  human_count(counts[i]).c_str());
    text += head.data();
    const std::int64_t bar = (counts[i] * kLongestBar + highest - 1) / highest;
    for (std::int64_t b = 0; b < bar; ++b) text += kBar;
    text += "\n";
  }
  return text;
}

}  // namespace lomo

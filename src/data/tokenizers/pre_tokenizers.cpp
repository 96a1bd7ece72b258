#include "pre_tokenizers.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "stage.h"
#include "unicode.h"

namespace lomo::tokenizers {

void Words::begin(std::string_view all, bool starts) {
  text = all;
  at_start = starts;
  spans.clear();
  if (!all.empty()) spans.push_back({0, all.size()});
}

namespace {

using Span = Words::Span;

/// What becomes of the matches of a pattern and of what stands between them.
enum class Behavior { removed, isolated, merged_with_previous, merged_with_next, contiguous };

Behavior behavior_of(JsonReader& reader, Behavior otherwise) {
  reader.get("behavior", otherwise,
             {{"Removed", Behavior::removed},
              {"Isolated", Behavior::isolated},
              {"MergedWithPrevious", Behavior::merged_with_previous},
              {"MergedWithNext", Behavior::merged_with_next},
              {"Contiguous", Behavior::contiguous}});
  return otherwise;
}

/// Parts one word by the matches in it.
class Splitter {
 public:
  Splitter(Behavior behavior, bool invert) : behavior_(behavior), invert_(invert) {}

  template <class Find>
  void apply(Words& words, Find const& find) const {
    words.parted.clear();
    const std::size_t first = words.spans.empty() ? 0 : words.spans.front().begin;
    for (Span const& span : words.spans) {
      // A match sees no further than its word.
      const std::string_view word = words.text.substr(span.begin, span.end - span.begin);
      const std::size_t from = words.parted.size();
      part(word, find, words.parted);
      for (std::size_t i = from; i < words.parted.size(); ++i) {
        words.parted[i].begin += span.begin;
        words.parted[i].end += span.begin;
      }
    }
    words.spans.swap(words.parted);
    if (!words.spans.empty() && words.spans.front().begin != first) words.at_start = false;
  }

  Cut cut(MatchShape const& matches, char32_t left, char32_t right) const {
    if (!matches.may_cut(left, right)) return Cut::changes;
    const bool merged = behavior_ != Behavior::isolated && behavior_ != Behavior::removed;
    return !merged && matches.begins_at(right) ? Cut::between : Cut::in_word;
  }

 private:
  template <class Find>
  void part(std::string_view word, Find const& find, std::vector<Span>& out) const {
    const std::size_t first = out.size();
    std::size_t done = 0;
    bool after_match = false;
    const auto add = [&](std::size_t begin, std::size_t end, bool match) {
      if (match == !invert_) {
        add_match(begin, end, first, after_match, out);
      } else {
        add_other(begin, end, first, after_match, out);
      }
    };
    std::size_t begin = 0;
    std::size_t end = 0;
    for (std::size_t at = 0; at <= word.size() && find(word, at, begin, end);) {
      at = end;
      if (begin == end) {
        if (end == word.size()) break;
        next_character(word, at);
      }
      if (done < begin) add(done, begin, false);
      if (begin < end || behavior_ == Behavior::isolated) add(begin, end, true);
      done = end;
    }
    if (done < word.size()) add(done, word.size(), false);
  }

  void add_match(std::size_t begin, std::size_t end, std::size_t first, bool& after_match,
                 std::vector<Span>& out) const {
    const bool joins = out.size() > first;
    const bool again = std::exchange(after_match, true);
    if (behavior_ == Behavior::removed || begin == end) return;
    const bool merged = joins && ((behavior_ == Behavior::merged_with_previous && !again) ||
                                  (behavior_ == Behavior::contiguous && again));
    if (merged) {
      out.back().end = end;
    } else {
      out.push_back({begin, end});
    }
  }

  void add_other(std::size_t begin, std::size_t end, std::size_t first, bool& after_match,
                 std::vector<Span>& out) const {
    const bool behind = std::exchange(after_match, false);
    if (behavior_ == Behavior::merged_with_next && behind && out.size() > first) {
      out.back().end = end;
    } else {
      out.push_back({begin, end});
    }
  }

  Behavior behavior_;
  bool invert_;
};

class SequencePreTokenizer : public PreTokenizer {
 public:
  SequencePreTokenizer(JsonReader& reader, bool& bytes) {
    for (JsonReader& stage : reader.objects("pretokenizers")) {
      if (bytes) stage.fail("type", "a stage after ByteLevel is not implemented");
      stages_.push_back(make_pre_tokenizer(std::move(stage), bytes));
    }
  }
  void apply(Words& words, RegexScratch& scratch) const override {
    for (auto const& stage : stages_) stage->apply(words, scratch);
  }
  Cut cut(char32_t& left, char32_t& right) const override {
    for (auto const& stage : stages_) {
      if (const Cut cut = stage->cut(left, right); cut != Cut::in_word) return cut;
    }
    return Cut::in_word;
  }

 private:
  std::vector<std::unique_ptr<PreTokenizer>> stages_;
};

class Split : public PreTokenizer {
 public:
  explicit Split(JsonReader& reader) : pattern_(reader), splitter_(read(reader)) {}
  void apply(Words& words, RegexScratch& scratch) const override {
    splitter_.apply(
        words, [&](std::string_view word, std::size_t from, std::size_t& begin, std::size_t& end) {
          return pattern_.find(word, from, scratch, begin, end);
        });
  }
  Cut cut(char32_t& left, char32_t& right) const override {
    return splitter_.cut(pattern_.shape(), left, right);
  }

 private:
  static Splitter read(JsonReader& reader) {
    bool invert = false;
    reader.get("invert", invert);
    reader.require("behavior");
    return {behavior_of(reader, Behavior::isolated), invert};
  }
  Pattern pattern_;
  Splitter splitter_;
};

/// A pattern that is the stage's own.
class FixedSplit : public PreTokenizer {
 public:
  FixedSplit(std::string_view pattern, Behavior behavior, bool invert = false)
      : regex_(pattern, "a built-in pattern"), splitter_(behavior, invert) {}
  void apply(Words& words, RegexScratch& scratch) const override {
    splitter_.apply(
        words, [&](std::string_view word, std::size_t from, std::size_t& begin, std::size_t& end) {
          return regex_.find(word, from, scratch, begin, end);
        });
  }
  Cut cut(char32_t& left, char32_t& right) const override {
    return splitter_.cut(regex_.shape(), left, right);
  }

 private:
  Regex regex_;
  Splitter splitter_;
};

/// GPT-2's words. The mapping of bytes to letters is undone in the vocabulary instead of applied to
/// texts.
class ByteLevel : public PreTokenizer {
 public:
  explicit ByteLevel(JsonReader& reader) {
    bool regex = true;
    bool trim_offsets = true;  // of no meaning for ids
    reader.get("add_prefix_space", prefix_space_);
    reader.get("trim_offsets", trim_offsets);
    reader.get("use_regex", regex);
    if (regex) {
      words_.emplace(
          R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)",
          Behavior::isolated);
    }
  }
  void apply(Words& words, RegexScratch& scratch) const override {
    if (prefix_space_) add_spaces(words);
    if (words_) words_->apply(words, scratch);
  }
  Cut cut(char32_t& left, char32_t& right) const override {
    return words_ ? words_->cut(left, right) : Cut::in_word;
  }

 private:
  static void add_spaces(Words& words) {
    words.next.clear();
    for (Span& span : words.spans) {
      const std::size_t begin = words.next.size();
      if (words.text[span.begin] != ' ') words.next += ' ';
      words.next += words.text.substr(span.begin, span.end - span.begin);
      span = {begin, words.next.size()};
    }
    words.changed.swap(words.next);
    words.text = words.changed;
  }

  bool prefix_space_ = true;
  std::optional<FixedSplit> words_;
};

/// Spaces become a visible character, which may be put before the text too and may begin words.
class Metaspace : public PreTokenizer {
 public:
  explicit Metaspace(JsonReader& reader) {
    reader.get("replacement", replacement_);
    std::string shown = replacement_;
    reader.get("str_rep", shown);  // of old files, the same
    std::size_t at = 0;
    if (!replacement_.empty()) next_character(replacement_, at);
    if (replacement_.empty() || at != replacement_.size() || shown != replacement_) {
      reader.fail("replacement", "must be one character");
    }
    bool add_prefix_space = true;  // of old files
    reader.get("add_prefix_space", add_prefix_space);
    prefix_ = add_prefix_space ? Prefix::always : Prefix::never;
    reader.get("prepend_scheme", prefix_,
               {{"always", Prefix::always}, {"first", Prefix::first}, {"never", Prefix::never}});
    reader.get("split", split_);
  }

  void apply(Words& words, RegexScratch&) const override {
    words.next.clear();
    words.parted.clear();
    bool first = words.at_start;
    for (Span const& span : words.spans) {
      const std::size_t begin = words.next.size();
      const std::string_view word = words.text.substr(span.begin, span.end - span.begin);
      const bool led = word.starts_with(' ') || word.starts_with(replacement_);
      if (!led && (prefix_ == Prefix::always || (prefix_ == Prefix::first && first))) {
        words.next += replacement_;
      }
      first = false;
      for (std::size_t at = 0; at < word.size();) {
        const std::size_t space = std::min(word.find(' ', at), word.size());
        words.next += word.substr(at, space - at);
        if (space < word.size()) words.next += replacement_;
        at = space + 1;
      }
      add(words, begin);
    }
    words.spans.swap(words.parted);
    words.changed.swap(words.next);
    words.text = words.changed;
  }

  Cut cut(char32_t& left, char32_t& right) const override {
    std::size_t at = 0;
    const char32_t shown = next_character(replacement_, at);
    if (right == U' ') right = shown;
    return split_ && right == shown && left != shown ? Cut::between : Cut::in_word;
  }

 private:
  enum class Prefix { always, first, never };

  void add(Words& words, std::size_t begin) const {
    std::string_view const text = words.next;
    while (split_) {
      const std::size_t next = text.find(replacement_, begin + 1);
      if (next == std::string_view::npos) break;
      // Each of them begins a word, those of a run too.
      words.parted.push_back({begin, next});
      begin = next;
    }
    words.parted.push_back({begin, text.size()});
  }

  std::string replacement_ = "\xE2\x96\x81";
  Prefix prefix_ = Prefix::always;
  bool split_ = true;
};

std::unique_ptr<PreTokenizer> make_digits(JsonReader& reader) {
  bool individual = false;
  reader.get("individual_digits", individual);
  return std::make_unique<FixedSplit>("\\p{N}",
                                      individual ? Behavior::isolated : Behavior::contiguous);
}

}  // namespace

std::unique_ptr<PreTokenizer> make_pre_tokenizer(JsonReader reader, bool& bytes) {
  std::unique_ptr<PreTokenizer> made;
  switch (stage_type(reader, "pre-tokenizer",
                     {"Sequence", "Split", "ByteLevel", "Digits", "Metaspace", "Punctuation",
                      "Whitespace", "WhitespaceSplit"})) {
    case 0:
      made = std::make_unique<SequencePreTokenizer>(reader, bytes);
      break;
    case 1:
      made = std::make_unique<Split>(reader);
      break;
    case 2:
      made = std::make_unique<ByteLevel>(reader);
      bytes = true;
      break;
    case 3:
      made = make_digits(reader);
      break;
    case 4:
      made = std::make_unique<Metaspace>(reader);
      break;
    case 5:
      made = std::make_unique<FixedSplit>("[\\p{P}$+<=>^`|~]",
                                          behavior_of(reader, Behavior::isolated));
      break;
    case 6:
      made = std::make_unique<FixedSplit>("\\w+|[^\\w\\s]+", Behavior::removed, true);
      break;
    default:
      made = std::make_unique<FixedSplit>("\\s", Behavior::removed);
      break;
  }
  reader.finish();
  return made;
}

}  // namespace lomo::tokenizers

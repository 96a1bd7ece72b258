#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/io/json.h"
#include "regex.h"

namespace lomo::tokenizers {

/// A text and the words it is parted into so far.
struct Words {
  struct Span {
    std::size_t begin, end;
  };
  std::string_view text;    // what the spans are of: the text given, or `changed`
  std::string changed;      // where a stage had to change it
  std::vector<Span> spans;  // none empty, in order
  bool at_start = false;    // the first span begins where the whole text does

  std::vector<Span> parted;  // scratch of the stages
  std::vector<Span> matches;
  std::string next;

  /// One word: all of it.
  void begin(std::string_view all, bool starts);
};

/// What becomes of the words of a text that is cut in two.
enum class Cut : std::uint8_t {
  changes,  // they may be others
  in_word,  // the same but for a word that may be cut too
  between,  // the same: one ends there
};

/// Parts words into smaller ones, and may change them.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Words& words, RegexScratch& scratch) const = 0;
  /// Of a cut between two characters, the left one no white space, where the part behind is read
  /// with `left` before it. They become what the stage makes of them.
  virtual Cut cut(char32_t& left, char32_t& right) const = 0;
};

/// Sequence, Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit; others
/// are refused by name. `bytes` is set when the words are to be looked up as bytes: a ByteLevel is
/// there, which must be the last stage.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(JsonReader reader, bool& bytes);

}  // namespace lomo::tokenizers

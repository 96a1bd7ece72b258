#pragma once
#include <cstddef>
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

/// Parts words into smaller ones, and may change them.
class PreTokenizer {
 public:
  virtual ~PreTokenizer() = default;
  virtual void apply(Words& words, RegexScratch& scratch) const = 0;
};

/// Sequence, Split, ByteLevel, Digits, Metaspace, Punctuation, Whitespace, WhitespaceSplit; others
/// are refused by name. `bytes` is set when the words are to be looked up as bytes: a ByteLevel is
/// there, which must be the last stage.
std::unique_ptr<PreTokenizer> make_pre_tokenizer(JsonReader reader, bool& bytes);

}  // namespace lomo::tokenizers

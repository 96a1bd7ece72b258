#include "decoders.h"

#include <cstdlib>
#include <optional>
#include <utility>

#include "../text.h"
#include "bpe.h"
#include "stage.h"
#include "unicode.h"

namespace lomo::tokenizers {

namespace {

class SequenceDecoder : public Decoder {
 public:
  explicit SequenceDecoder(JsonReader& reader) {
    for (JsonReader& stage : reader.objects("decoders")) {
      stages_.push_back(make_decoder(std::move(stage)));
    }
  }
  void apply(std::vector<std::string>& pieces, RegexScratch& scratch) const override {
    for (auto const& stage : stages_) stage->apply(pieces, scratch);
  }

 private:
  std::vector<std::unique_ptr<Decoder>> stages_;
};

/// Letters of GPT-2's alphabet become bytes; a piece with any other letter (an added token) is
/// text.
class ByteLevelDecoder : public Decoder {
 public:
  explicit ByteLevelDecoder(JsonReader& reader) {
    bool unused = true;  // of the pre-tokenizer of this name
    for (char const* key : {"add_prefix_space", "trim_offsets", "use_regex"}) {
      reader.get(key, unused);
    }
  }
  void apply(std::vector<std::string>& pieces, RegexScratch&) const override {
    std::string bytes;
    for (std::string const& piece : pieces) {
      const std::size_t before = bytes.size();
      for (std::size_t at = 0; at < piece.size();) {
        const auto byte = byte_of_letter(next_character(piece, at));
        if (!byte) {
          bytes.resize(before);
          bytes += piece;
          break;
        }
        bytes += static_cast<char>(*byte);
      }
    }
    pieces = {repaired_utf8(bytes)};
  }
};

/// Runs of <0xXX> become the characters they are the bytes of, or as many U+FFFD.
class ByteFallback : public Decoder {
 public:
  void apply(std::vector<std::string>& pieces, RegexScratch&) const override {
    std::vector<std::string> out;
    std::string bytes;
    const auto flush = [&] {
      if (bytes.empty()) return;
      if (!invalid_utf8(bytes)) {
        out.push_back(bytes);
      } else {
        out.insert(out.end(), bytes.size(), "\xEF\xBF\xBD");
      }
      bytes.clear();
    };
    for (std::string& piece : pieces) {
      if (const auto byte = byte_of(piece)) {
        bytes += *byte;
      } else {
        flush();
        out.push_back(std::move(piece));
      }
    }
    flush();
    pieces = std::move(out);
  }

 private:
  static std::optional<char> byte_of(std::string const& piece) {
    if (piece.size() != 6 || !piece.starts_with("<0x") || !piece.ends_with('>')) return {};
    char* end = nullptr;
    const std::string digits = piece.substr(3, 2);
    if (digits[0] == '-' || digits[0] == ' ') return {};
    const long value = std::strtol(digits.c_str(), &end, 16);
    if (end != digits.c_str() + 2) return {};
    return static_cast<char>(value);
  }
};

class Fuse : public Decoder {
 public:
  void apply(std::vector<std::string>& pieces, RegexScratch&) const override {
    std::string all;
    for (std::string const& piece : pieces) all += piece;
    pieces = {std::move(all)};
  }
};

class StripDecoder : public Decoder {
 public:
  explicit StripDecoder(JsonReader& reader) {
    reader.require("content");
    reader.get("content", content_);
    std::size_t at = 0;
    if (!content_.empty()) next_character(content_, at);
    if (content_.empty() || at != content_.size()) {
      reader.fail("content", "must be one character");
    }
    reader.get("start", start_, Range<std::int64_t>{0});
    reader.get("stop", stop_, Range<std::int64_t>{0});
  }
  void apply(std::vector<std::string>& pieces, RegexScratch&) const override {
    for (std::string& piece : pieces) {
      std::string_view kept = piece;
      for (std::int64_t i = 0; i < start_ && kept.starts_with(content_); ++i) {
        kept.remove_prefix(content_.size());
      }
      for (std::int64_t i = 0; i < stop_ && kept.ends_with(content_); ++i) {
        kept.remove_suffix(content_.size());
      }
      if (kept.size() < piece.size()) piece = std::string(kept);
    }
  }

 private:
  std::string content_;
  std::int64_t start_ = 0, stop_ = 0;
};

class ReplaceDecoder : public Decoder {
 public:
  explicit ReplaceDecoder(JsonReader& reader) : pattern_(reader) {
    reader.require("content");
    reader.get("content", content_);
  }
  void apply(std::vector<std::string>& pieces, RegexScratch& scratch) const override {
    for (std::string& piece : pieces) pattern_.replace(piece, content_, scratch);
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class MetaspaceDecoder : public Decoder {
 public:
  explicit MetaspaceDecoder(JsonReader& reader) {
    std::string scheme;
    bool prefix = true;
    bool unused = true;
    std::string shown;
    reader.get("replacement", replacement_);
    reader.get("str_rep", shown);
    reader.get("split", unused);
    if (replacement_.empty()) reader.fail("replacement", "must be one character");
    reader.get("add_prefix_space", prefix);
    if (reader.get("prepend_scheme", scheme)) prefix = scheme != "never";
    prefix_ = prefix;
  }
  void apply(std::vector<std::string>& pieces, RegexScratch&) const override {
    bool first = prefix_;
    for (std::string& piece : pieces) {
      std::string out;
      std::size_t at = 0;
      for (std::size_t next = piece.find(replacement_); next != std::string::npos;
           next = piece.find(replacement_, at)) {
        out += piece.substr(at, next - at);
        if (!first) out += ' ';
        at = next + replacement_.size();
      }
      piece = out + piece.substr(at);
      first = false;
    }
  }

 private:
  std::string replacement_ = "\xE2\x96\x81";
  bool prefix_ = true;
};

}  // namespace

std::unique_ptr<Decoder> make_decoder(JsonReader reader) {
  std::unique_ptr<Decoder> made;
  switch (stage_type(
      reader, "decoder",
      {"Sequence", "ByteLevel", "ByteFallback", "Fuse", "Strip", "Replace", "Metaspace"})) {
    case 0:
      made = std::make_unique<SequenceDecoder>(reader);
      break;
    case 1:
      made = std::make_unique<ByteLevelDecoder>(reader);
      break;
    case 2:
      made = std::make_unique<ByteFallback>();
      break;
    case 3:
      made = std::make_unique<Fuse>();
      break;
    case 4:
      made = std::make_unique<StripDecoder>(reader);
      break;
    case 5:
      made = std::make_unique<ReplaceDecoder>(reader);
      break;
    default:
      made = std::make_unique<MetaspaceDecoder>(reader);
      break;
  }
  reader.finish();
  return made;
}

}  // namespace lomo::tokenizers

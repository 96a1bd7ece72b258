#include "normalizers.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "stage.h"
#include "unicode.h"

namespace lomo::tokenizers {

namespace {

class SequenceNormalizer : public Normalizer {
 public:
  explicit SequenceNormalizer(JsonReader& reader) {
    for (JsonReader& stage : reader.objects("normalizers")) {
      stages_.push_back(make_normalizer(std::move(stage)));
    }
  }
  void apply(std::string& text, RegexScratch& scratch) const override {
    for (auto const& stage : stages_) stage->apply(text, scratch);
  }
  bool may_cut(std::string& left, std::string& right) const override {
    return std::ranges::all_of(stages_,
                               [&](auto const& stage) { return stage->may_cut(left, right); });
  }

 private:
  std::vector<std::unique_ptr<Normalizer>> stages_;
};

class Prepend : public Normalizer {
 public:
  explicit Prepend(JsonReader& reader) {
    reader.require("prepend");
    reader.get("prepend", prefix_);
  }
  void apply(std::string& text, RegexScratch&) const override {
    if (!text.empty()) text.insert(0, prefix_);
  }
  bool may_cut(std::string&, std::string&) const override { return true; }

 private:
  std::string prefix_;
};

class Replace : public Normalizer {
 public:
  explicit Replace(JsonReader& reader) : pattern_(reader) {
    reader.require("content");
    reader.get("content", content_);
  }
  void apply(std::string& text, RegexScratch& scratch) const override {
    pattern_.replace(text, content_, scratch);
  }
  /// Where single characters are replaced; a longer pattern might begin before either.
  bool may_cut(std::string& left, std::string& right) const override {
    std::string const& replaced = pattern_.literal();
    std::size_t at = 0;
    if (replaced.empty()) return false;
    next_character(replaced, at);
    if (at != replaced.size()) return false;
    for (std::string* side : {&left, &right}) {
      if (*side == replaced) *side = content_;
    }
    return true;
  }

 private:
  Pattern pattern_;
  std::string content_;
};

class Form : public Normalizer {
 public:
  explicit Form(NormalForm form) : form_(form) {}
  void apply(std::string& text, RegexScratch&) const override {
    // Below this byte all characters stand before U+0300 (NFC) or are ASCII, and are their own
    // form.
    const unsigned first_that_may_change = form_ == NormalForm::nfc ? 0xcc : 0x80;
    if (std::all_of(text.begin(), text.end(), [&](char c) {
          return static_cast<unsigned char>(c) < first_that_may_change;
        })) {
      return;
    }
    text = normal_form(text, form_);
  }
  bool may_cut(std::string& left, std::string& right) const override {
    return keeps(left, true) && keeps(right, false);
  }

 private:
  /// Whether the characters are their own form, whatever stands before them and, unless something
  /// that keeps `follows`, behind.
  bool keeps(std::string const& text, bool follows) const {
    const bool compatible = form_ == NormalForm::nfkc || form_ == NormalForm::nfkd;
    for (std::size_t at = 0; at < text.size();) {
      const char32_t c = next_character(text, at);
      const bool letter = (c >= U'A' && c <= U'Z') || (c >= U'a' && c <= U'z');
      const bool composes = letter || (c >= U'<' && c <= U'>');  // with a mark behind it
      const bool wide = (c >= 0x3001 && c <= 0x3003) || (c >= 0x4e00 && c <= 0x9fff) ||
                        (!compatible && c >= 0xff01 && c <= 0xff0f);
      if (!wide && (c >= 0x80 || (composes && !follows))) return false;
    }
    return true;
  }

  NormalForm form_;
};

class Lowercase : public Normalizer {
 public:
  void apply(std::string& text, RegexScratch&) const override { text = lower_case(text); }
  bool may_cut(std::string& left, std::string& right) const override {
    left = lower_case(left);
    right = lower_case(right);
    return true;
  }
};

class Strip : public Normalizer {
 public:
  explicit Strip(JsonReader& reader) {
    reader.get("strip_left", left_);
    reader.get("strip_right", right_);
  }
  void apply(std::string& text, RegexScratch&) const override {
    while (right_ && !text.empty()) {
      const std::size_t last = last_character(text, text.size());
      std::size_t at = last;
      if (!is_white_space(next_character(text, at))) break;
      text.resize(last);
    }
    std::size_t begin = 0;
    for (std::size_t at = 0;
         left_ && at < text.size() && is_white_space(next_character(text, at));) {
      begin = at;
    }
    text.erase(0, begin);
  }
  bool may_cut(std::string&, std::string&) const override { return true; }

 private:
  bool left_ = true, right_ = true;
};

}  // namespace

std::unique_ptr<Normalizer> make_normalizer(JsonReader reader) {
  std::unique_ptr<Normalizer> made;
  switch (stage_type(
      reader, "normalizer",
      {"Sequence", "Prepend", "Replace", "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Strip"})) {
    case 0:
      made = std::make_unique<SequenceNormalizer>(reader);
      break;
    case 1:
      made = std::make_unique<Prepend>(reader);
      break;
    case 2:
      made = std::make_unique<Replace>(reader);
      break;
    case 3:
      made = std::make_unique<Form>(NormalForm::nfc);
      break;
    case 4:
      made = std::make_unique<Form>(NormalForm::nfd);
      break;
    case 5:
      made = std::make_unique<Form>(NormalForm::nfkc);
      break;
    case 6:
      made = std::make_unique<Form>(NormalForm::nfkd);
      break;
    case 7:
      made = std::make_unique<Lowercase>();
      break;
    default:
      made = std::make_unique<Strip>(reader);
      break;
  }
  reader.finish();
  return made;
}

}  // namespace lomo::tokenizers

#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lomo {

/// A token with a meaning of its own, and where it is written that it has it.
struct NamedToken {
  std::string name;      // "bos", "eos" or "pad"
  std::int32_t id = -1;  // none
  std::string origin;    // "tokenizer.model", or the file of the folder that names it
};

/// A sentencepiece model and its special ids. bos/eos come from generation_config.json or
/// tokenizer_config.json / config.json of the folder where present, else from the model; -1 = none.
class Tokenizer {
 public:
  /// `folder` is a Hugging Face model folder with tokenizer.model, or that file itself. Throws
  /// Error(Exit::data) naming what is wrong and what to do (Llama 3's tokenizer.json alone is
  /// refused by name; data given as ids needs no tokenizer).
  explicit Tokenizer(std::filesystem::path const& folder);
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Ids without bos or eos.
  std::vector<std::int32_t> encode(std::string_view text) const;
  std::string decode(std::vector<std::int32_t> const& ids) const;
  std::int64_t size() const;
  std::int32_t bos() const;
  std::int32_t eos() const;
  /// The id of what the vocabulary cannot express; -1 = none.
  std::int32_t unknown() const;
  /// bos, eos and pad. Nothing is padded here; a pad that is eos's id says what others did.
  std::vector<NamedToken> named_tokens() const;
  /// The vocabulary's string of an id: "\u2581Once", "<0x0A>", "</s>". Empty for no id of it.
  std::string piece(std::int32_t id) const;
  /// The bytes that an id adds inside a text, " Once"; empty for those that are no text, as bos.
  std::string piece_text(std::int32_t id) const;
  /// How tokens that are no text are written, "<s>"; inside data they are read as characters.
  std::vector<std::string> special_texts() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lomo

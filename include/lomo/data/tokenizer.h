#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lomo {

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

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lomo

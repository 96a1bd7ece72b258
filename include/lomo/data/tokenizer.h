#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace lomo {

/// A token with a meaning of its own, and where it is written that it has it.
struct NamedToken {
  std::string name;      // "bos", "eos" or "pad"
  std::int32_t id = -1;  // none
  std::string origin;    // the file that names it
};

/// An id and the bytes [begin, end) of the text that it stands for.
struct TokenSpan {
  std::int32_t id = 0;
  std::size_t begin = 0, end = 0;
  bool special = false;
};

/// Which file of a folder the tokenizer is read from.
enum class TokenizerFile : std::uint8_t {
  automatic,  // tokenizer.json; where there is a tokenizer.model too, both must agree
  json,       // tokenizer.json
  model,      // tokenizer.model
};

/// How a tokenizer is read and used.
struct TokenizerOptions {
  TokenizerFile file = TokenizerFile::automatic;
  bool parse_special = false;  // special tokens written in a text are tokens
};

/// Makes ids of texts and texts of ids: a sentencepiece model, or a tokenizer.json of Hugging Face
/// with its stages (added tokens, normalizer, pre-tokenizer, BPE, post-processor, decoder), which
/// gives the ids that Hugging Face's tokenizers 0.23 gives. May be used by many threads at once.
///
/// Added tokens come from tokenizer.json, from added_tokens_decoder of tokenizer_config.json and
/// from added_tokens.json. Tokens are special when their entry, tokenizer_config.json or
/// special_tokens_map.json says so. Special tokens that a text spells out are text, unless
/// parse_special is set; other added tokens are always found.
///
/// What starts and ends a text: the tokenizer's own post-processor or model, and
/// tokenizer_config.json (bos_token, eos_token, add_bos_token, add_eos_token); what these leave
/// open is taken from generation_config.json, then from config.json.
class Tokenizer {
 public:
  /// `place` is a Hugging Face model folder, or a tokenizer.json or tokenizer.model itself, then
  /// without the files beside it. Throws Error(Exit::data) naming the file, the place in it and
  /// what to do: damaged files, stages that are not implemented, and two files that differ on a
  /// text.
  explicit Tokenizer(std::filesystem::path const& place, TokenizerOptions options = {});
  ~Tokenizer();
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;

  /// Whether the folder has a file that a tokenizer is read from.
  static bool is_in(std::filesystem::path const& folder);

  /// Ids of the text alone. Malformed UTF-8 counts as U+FFFD.
  std::vector<std::int32_t> encode(std::string_view text) const;
  /// The same, special tokens read as told here.
  std::vector<std::int32_t> encode(std::string_view text, bool parse_special) const;
  /// Whether a text may be cut between two characters that stand side by side in it: its ids are
  /// those of the part that ends with `left` and then encode_behind() of the other part. False
  /// where that cannot be told from the tokenizer's file.
  bool may_cut(char32_t left, char32_t right) const;
  /// Ids of what stands from byte `from` on, where a text may be cut; before it stands the one
  /// character left of the cut.
  std::vector<std::int32_t> encode_behind(std::string_view text, std::size_t from) const;
  /// encode() with the place of each token in `text`, special tokens read as tokens. A token that
  /// the tokenizer puts in has no bytes; where it rewrites the text (NFC), tokens have the bytes of
  /// what was rewritten. Malformed UTF-8 is an Error.
  std::vector<TokenSpan> encode_with_offsets(std::string_view text) const;
  /// Special tokens become what they are written as. Throws for an id that is no token.
  std::string decode(std::vector<std::int32_t> const& ids) const;

  /// The greatest id and one. Ids below it may be no token.
  std::int64_t size() const;
  bool has(std::int32_t id) const;
  /// The vocabulary's string of a token ("\u0120the", "\u2581the", "<0x0A>"), empty for no token,
  /// and the id of such a string, or -1.
  std::string piece(std::int32_t id) const;
  std::int32_t find(std::string_view piece) const;

  /// The tokens for the start and the end of a text, -1 where there is none. A text need not be
  /// given them: see before().
  std::int32_t bos() const;
  std::int32_t eos() const;
  /// The id of what the vocabulary cannot express; -1 = none.
  std::int32_t unknown() const;
  /// bos, eos and pad. Nothing is padded here; a pad that is eos's id says what others did.
  std::vector<NamedToken> named_tokens() const;
  /// The bytes that an id adds inside a text, " Once"; empty for those that are no text, as bos.
  std::string piece_text(std::int32_t id) const;
  /// What the tokenizer puts before and after a text.
  std::vector<std::int32_t> const& before() const;
  std::vector<std::int32_t> const& after() const;
  /// What a text that is learnt ends with: after(), and eos() where that does not end with it.
  std::vector<std::int32_t> const& closing() const;
  /// Tokens that end a generated text: eos(), and all that generation_config.json (or else
  /// config.json) names.
  std::vector<std::int32_t> const& stops() const;

  /// Whether encode() reads special tokens as tokens.
  bool parses_special() const;
  /// Adds the special tokens that a text spells out to `counts`, by how they are written. Whether
  /// there is one.
  bool count_special(std::string_view text, std::map<std::string, std::int64_t>& counts) const;

  /// The file it is read from: "tokenizer.json" or "tokenizer.model".
  std::string const& file() const;
  /// What a chat template finds under "bos_token", "eos_token" and the like, as transformers gives
  /// it: what tokenizer_config.json or special_tokens_map.json says, else what tokenizer.model has.
  std::map<std::string, std::string> const& template_tokens() const;
  /// What the folder's files contradict each other in, one sentence each.
  std::vector<std::string> const& warnings() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Throws Error(Exit::data) naming the first token that has no row in an embedding of so many rows.
/// `folder` is named in the message.
void require_rows(Tokenizer const& tokenizer, std::int64_t rows,
                  std::filesystem::path const& folder);

}  // namespace lomo

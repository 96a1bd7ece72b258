#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/example.h"

namespace lomo {

/// Is given the items of a file, one after another.
template <class Item>
using Take = std::function<void(Item)>;

// All of these throw Error(Exit::data), naming path:line:column and field where there is one, for a
// file that cannot be read, holds no records, has broken lines, values nested more than kJsonLevels
// deep, or is not UTF-8. Records are JSONL, or one JSON array of objects.

/// Which fields of an own JSONL file say what.
struct JsonlFields {
  std::string prompt =
      "prompt";  // a field, or a template such as "{passage} {question}?\nAnswer: "
  std::string answer = "answer";  // a text, a number, or true/false (which become Yes/No)
  std::string passage;            // field that truncation may cut; empty: the prompt from its start
};
/// One Example a record, with `answer` and no candidates. A field that is missing is an error that
/// names those there are, and what the data seem to be.
void read_jsonl(std::filesystem::path const& file, JsonlFields const& fields,
                Take<Example> const& take);

/// Token ids, and the index of the first that carries loss.
struct IdList {
  std::vector<std::int32_t> ids;
  std::int64_t loss_from = 0;
  std::string where;
};
/// JSONL with `ids` and optionally `loss_from`: needs no tokenizer.
void read_ids(std::filesystem::path const& file, Take<IdList> const& take);

/// A text for causal language modelling.
struct Document {
  std::string text = {};
  std::string where = {};
  /// In place of `text` where that would be long: bytes of a file as they are there, UTF-8, and
  /// what keeps them.
  std::string_view bytes = {};
  std::shared_ptr<void const> file = {};

  std::size_t size() const { return file ? bytes.size() : text.size(); }
};
/// A document of more bytes is not copied out of its file.
inline constexpr std::size_t kLongDocument = std::size_t{8} << 20;

/// The text of a file's bytes: line ends are normalised to \n.
std::string with_plain_lines(std::string_view bytes);

struct TextOptions {
  std::string document_separator;   // parts the documents of a plain text file, such as "\n\n" or
                                    // "<|endoftext|>"; empty: the file is one document
  std::string text_field = "text";  // of a .jsonl file, one document a line
};
/// Line ends are normalised to \n; documents are trimmed of them, and empty ones left out. A plain
/// text file is mapped, so that it takes no memory of its own; a gzipped one is in memory whole.
void read_documents(std::filesystem::path const& file, TextOptions const& options,
                    Take<Document> const& take, std::size_t long_document = kLongDocument);

/// Calls `take` for each line that is not blank, with its place ("texts.jsonl:17").
void each_line(std::filesystem::path const& file,
               std::function<void(std::string const& line, std::string const& where)> const& take);

}  // namespace lomo

#pragma once
#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "lomo/data/dataset.h"
#include "lomo/data/example.h"

namespace lomo {

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
std::vector<Example> read_jsonl(std::filesystem::path const& file, JsonlFields const& fields);

/// JSONL with `ids` and optionally `loss_from` (index of the first id that carries loss, default
/// 0): needs no tokenizer. With records of more than max_length + 1 ids (0: no limit) it does as
/// `too_long` says; the last id is only a target, so a length counts one less.
Dataset read_ids(std::filesystem::path const& file, std::int64_t max_length,
                 TooLong too_long = TooLong::error);

/// A text for causal language modelling.
struct Document {
  std::string text;
  std::string where;
};
struct TextOptions {
  std::string document_separator;   // parts the documents of a plain text file, such as "\n\n" or
                                    // "<|endoftext|>"; empty: the file is one document
  std::string text_field = "text";  // of a .jsonl file, one document a line
};
/// Line ends are normalised to \n; documents are trimmed of them, and empty ones left out.
std::vector<Document> read_documents(std::filesystem::path const& file, TextOptions const& options);

/// Calls `take` for each line that is not blank, with its place ("texts.jsonl:17").
void each_line(std::filesystem::path const& file,
               std::function<void(std::string const& line, std::string const& where)> const& take);

}  // namespace lomo

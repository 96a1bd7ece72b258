#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/dataset.h"
#include "lomo/data/example.h"
#include "lomo/data/readers.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// ids = bos, joint encoding of prompt and answer, eos. loss_from is the first index at which these
/// ids and the encoding of the prompt alone part, so a prompt's last space that merges into the
/// answer's first token belongs to the answer.
///
/// At most max_length ids before eos (0: no limit). What is too long loses words from the start of
/// its passage (only words of more than 64 bytes are cut within, never inside a UTF-8 character);
/// when the whole passage is not enough, from the start of what is left of the prompt; never the
/// answer. Throws Error(Exit::data) naming example.where and the length when the answer alone does
/// not fit.
EncodedAnswer encode_answer(Tokenizer const& tokenizer, Example const& example,
                            std::string_view answer, std::int64_t max_length);

/// encode_answer() of every candidate after one and the same prompt, cut so that the longest fits.
std::vector<EncodedAnswer> encode_candidates(Tokenizer const& tokenizer, Example const& example,
                                             std::int64_t max_length);

/// What is done with examples that do not fit, and how they are called in messages.
struct EncodeOptions {
  std::int64_t max_length = 0;  // 0: no limit
  TooLong too_long = TooLong::error;
  std::string what = "answers of the training data";
};

// These make sequences of a part of the items of a data set, of which Dataset::item() is the index.
// They may be called by many threads at once. What does not fit is left out or cut as the options
// say and counted in the statistics; where it is an error, require_fit() of the whole throws it.

/// One sequence an example, with its answer. Throws Error(Exit::data) for an example without one.
Dataset encode_examples(Tokenizer const& tokenizer, std::span<Example const> examples,
                        EncodeOptions const& options);

/// One sequence a candidate of each example, in order.
Dataset encode_ranked(Tokenizer const& tokenizer, std::span<Example const> examples,
                      EncodeOptions const& options);

/// Documents with what starts and ends a text, every id but the first a target. One of more than
/// max_length + 1 ids is cut into sequences of max_length tokens that lose no target (0: no limit).
Dataset encode_documents(Tokenizer const& tokenizer, std::span<Document const> documents,
                         std::int64_t max_length);

/// encode_documents() of one document by all threads, straight into a data set of which it is the
/// item `index`: it is cut into parts of about `part` bytes where the tokenizer allows that, which
/// gives the same ids. Of a tokenizer that allows it nowhere, the document is encoded whole.
void encode_long_document(Tokenizer const& tokenizer, Document const& document,
                          std::int64_t max_length, std::int64_t index, std::int32_t copies,
                          DatasetWriter& out, std::size_t part = std::size_t{1} << 17);

/// One sequence a list. The last id is only a target, so a length counts one less.
Dataset encode_id_lists(std::span<IdList const> lists, EncodeOptions const& options);

/// Throws Error(Exit::data) that counts what was too long where that is an error.
void require_fit(Dataset const& whole, EncodeOptions const& options);

}  // namespace lomo

// Where in a text the tokens of a tokenizer.json stand.
#include "alignment.h"
#include "json_model.h"
#include "json_scratch.h"

namespace lomo::tokenizers {

void JsonModel::encode_with_offsets(std::string_view text, std::vector<TokenSpan>& spans) const {
  Lease lease(*this);
  std::vector<Stretch> stretches;
  as_written_.part(text, true, stretches);
  for (Stretch const& s : stretches) {
    if (s.id >= 0) {
      spans.push_back({s.id, s.begin, s.end, special_ids_.contains(s.id)});
      continue;
    }
    const std::size_t first = spans.size();
    place_stretch(text.substr(s.begin, s.end - s.begin), s.begin == 0, spans, *lease);
    for (std::size_t i = first; i < spans.size(); ++i) {
      spans[i].begin += s.begin;
      spans[i].end += s.begin;
    }
  }
}

void JsonModel::place_stretch(std::string_view text, bool starts, std::vector<TokenSpan>& spans,
                              Scratch& scratch) const {
  std::string normal(text);
  if (normalizer_) normalizer_->apply(normal, scratch.regex);
  const Alignment alignment(text, normal);
  std::vector<Stretch> inner;
  normalized_.part(normal, true, inner);
  const std::size_t first = spans.size();
  for (Stretch const& s : inner) {
    if (s.id >= 0) {
      spans.push_back({s.id, s.begin, s.end, special_ids_.contains(s.id)});
    } else {
      const std::string_view part = std::string_view(normal).substr(s.begin, s.end - s.begin);
      place_words(part, s.begin, starts && s.begin == 0, spans, scratch);
    }
  }
  for (std::size_t i = first; i < spans.size(); ++i) {
    spans[i].begin = alignment.begin(spans[i].begin);
    spans[i].end = alignment.end(spans[i].end);
  }
}

void JsonModel::place_words(std::string_view text, std::size_t offset, bool starts,
                            std::vector<TokenSpan>& spans, Scratch& scratch) const {
  Words& words = scratch.words;
  words.begin(text, starts);
  if (pre_tokenizer_) pre_tokenizer_->apply(words, scratch.regex);
  const Alignment alignment(text, words.text);
  std::vector<std::int32_t> ids;
  for (Words::Span const& span : words.spans) {
    ids.clear();
    const std::string_view word = words.text.substr(span.begin, span.end - span.begin);
    bpe_->encode(word, ids, scratch.bpe);
    const std::vector<std::size_t> lengths = bpe_->lengths(ids, word);
    std::size_t at = span.begin;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const std::size_t end = at + lengths[i];
      spans.push_back({ids[i], offset + alignment.begin(at), offset + alignment.end(end), false});
      at = end;
    }
  }
}

}  // namespace lomo::tokenizers

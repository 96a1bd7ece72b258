#include "writer.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <utility>

#include "lomo/core/console.h"
#include "lomo/data/open_prompt.h"
#include "lomo/train/generation.h"

namespace lomo::app {

Writer::Writer(Decoder& model, Tokenizer const& tokenizer, std::int64_t capacity,
               DrawOptions options)
    : model_(model),
      tokenizer_(tokenizer),
      options_(options),
      random_(random_key(options.seed, "generate", "", 0)),
      cache_(model.make_cache(capacity)) {}

std::vector<float> Writer::logits_after(std::vector<std::int32_t> const& ids) {
  const auto parted = std::mismatch(known_.begin(), known_.end(), ids.begin(), ids.end()).second;
  // The last id is computed in any case: it gives the logits.
  const auto from = std::min(parted, ids.end() - 1);
  cache_.used = from - ids.begin();
  known_ = ids;
  return model_.extend(cache_, {from, ids.end()});
}

std::int32_t Writer::draw(std::vector<float> const& logits) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (options_.temperature <= 0) return static_cast<std::int32_t>(likeliest - logits.begin());
  std::vector<double> weight(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weight[i] = std::exp((static_cast<double>(logits[i]) - *likeliest) / options_.temperature);
  }
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return weight[static_cast<std::size_t>(a)] > weight[static_cast<std::size_t>(b)];
  });
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < order.size() && (count == 0 || kept < options_.top_p * total)) {
    kept += weight[static_cast<std::size_t>(order[count++])];
  }
  double left = random_.uniform() * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    left -= weight[static_cast<std::size_t>(order[i])];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

void Writer::write(std::vector<std::int32_t>& ids, std::int64_t most,
                   std::vector<std::int32_t> const& stops, std::string const& owed,
                   std::function<bool()> const& go_on) {
  OwedText begin(tokenizer_, owed);
  for (std::int64_t i = 0; i < most; ++i) {
    std::vector<float> logits = logits_after(ids);
    forbid_rows_without_token(tokenizer_, logits);
    begin.restrict(logits);
    const std::int32_t next = draw(logits);
    if (std::ranges::count(stops, next) > 0) return;
    begin.take(next);
    ids.push_back(next);
    if (!go_on()) return;
  }
}

bool GrowingText::show(std::string const& text) {
  std::size_t end = text.size();
  const std::size_t replacement = text.rfind("\xEF\xBF\xBD");
  if (replacement != std::string::npos && replacement + 3 == end) end = replacement;
  if (end <= shown_) return true;
  const std::string_view more = std::string_view(text).substr(shown_, end - shown_);
  shown_ = end;
  return console::print_while_read(more);
}

void GrowingText::finish(std::string const& text) {
  console::print_while_read(text.substr(std::min(shown_, text.size())) + "\n");
}

}  // namespace lomo::app

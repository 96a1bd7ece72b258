#include "lomo/data/dataset.h"

#include <algorithm>
#include <span>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/io/hash.h"
#include "shuffle.h"

namespace lomo {

std::int64_t Dataset::tokens() const {
  std::int64_t count = 0;
  for (Sequence const& sequence : sequences) {
    count += static_cast<std::int64_t>(sequence.tokens.size());
  }
  return count;
}

std::int64_t Dataset::targets() const {
  std::int64_t count = 0;
  for (Sequence const& sequence : sequences) {
    count += std::count_if(sequence.targets.begin(), sequence.targets.end(),
                           [](std::int32_t target) { return target != kNoTarget; });
  }
  return count;
}

std::string content_hash(Dataset const& data) {
  Hasher hasher;
  for (Sequence const& sequence : data.sequences) {
    hasher.add(static_cast<std::int64_t>(sequence.tokens.size()));
    hasher.add(std::as_bytes(std::span(sequence.tokens)));
    hasher.add(std::as_bytes(std::span(sequence.targets)));
  }
  return hasher.text();
}

void check_ids(Dataset const& data, std::int64_t vocab) {
  std::int64_t bad = 0;
  std::int32_t worst = 0;
  std::string first;
  for (std::size_t i = 0; i < data.sequences.size(); ++i) {
    const auto look = [&](std::int32_t id) {
      if (id >= 0 && id < vocab) return;
      if (bad++ == 0) {
        first = i < data.where.size() ? data.where[i] : "sequence " + std::to_string(i);
        worst = id;
      }
      if (worst >= 0 && (id < 0 || id > worst)) worst = id;
    };
    // Every id of a document is a token or the last target.
    for (std::int32_t id : data.sequences[i].tokens) look(id);
    if (!data.sequences[i].targets.empty() && data.sequences[i].targets.back() != kNoTarget) {
      look(data.sequences[i].targets.back());
    }
  }
  if (bad == 0) return;
  throw Error(Exit::data, "outside the model's vocabulary of " + counted(vocab, "id") + ": " +
                              counted(bad, "token id") + " (for example " + std::to_string(worst) +
                              "; the first in " + first +
                              "); the tokenizer or the ids belong to another model");
}

Split split_validation(std::int64_t count, double share, std::uint64_t seed) {
  if (!(share >= 0.0 && share < 1.0)) {
    throw Error(Exit::usage, "the share kept for validation is " + std::to_string(share) +
                                 "; it must be at least 0 and below 1");
  }
  const std::vector<std::int64_t> order = shuffled(count, random_key(seed, "validation", "", 0));
  auto kept = static_cast<std::int64_t>(share * static_cast<double>(count) + 0.5);
  if (share > 0.0 && count > 1) kept = std::clamp<std::int64_t>(kept, 1, count - 1);
  Split split;
  split.validation.assign(order.begin(), order.begin() + kept);
  split.train.assign(order.begin() + kept, order.end());
  std::sort(split.validation.begin(), split.validation.end());
  std::sort(split.train.begin(), split.train.end());
  return split;
}

}  // namespace lomo

#include "lomo/data/dataset.h"

#include <algorithm>
#include <span>

#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/io/hash.h"
#include "shuffle.h"

namespace lomo {

SequenceView Dataset::operator[](std::size_t i) const {
  Record const& record = columns_.records.all()[i];
  const auto length = static_cast<std::size_t>(record.length);
  const auto ids = columns_.ids.all().subspan(static_cast<std::size_t>(record.ids));
  if (record.own_targets < 0) return {ids.first(length), ids.subspan(length == 0 ? 0 : 1, length)};
  const auto targets = columns_.targets.all();
  return {ids.first(length), targets.subspan(static_cast<std::size_t>(record.own_targets), length)};
}

std::vector<SequenceView> Dataset::all() const {
  std::vector<SequenceView> views;
  for (std::size_t i = 0; i < size(); ++i) views.push_back((*this)[i]);
  return views;
}

std::string Dataset::where(std::size_t i) const {
  return columns_.where.all().data() + columns_.records.all()[i].where;
}

void Dataset::note(std::int32_t id) {
  const bool first = largest_id_ < smallest_id_;
  smallest_id_ = first ? id : std::min(smallest_id_, id);
  largest_id_ = first ? id : std::max(largest_id_, id);
}

std::int64_t Dataset::put_ids(std::span<std::int32_t const> ids) {
  const auto begin = static_cast<std::int64_t>(columns_.ids.size());
  for (const std::int32_t id : ids) note(id);
  columns_.ids.append(ids);
  return begin;
}

std::int64_t Dataset::put_where(std::string_view where) {
  const auto begin = static_cast<std::int64_t>(columns_.where.size());
  columns_.where.append(where);
  constexpr char kEnd = 0;
  columns_.where.append({&kEnd, 1});
  return begin;
}

void Dataset::put(Record const& record) {
  columns_.records.append({&record, 1});
  tokens_ += record.length;
  targets_ += record.targets;
}

void Dataset::add(SequenceView sequence, std::string_view where, std::int64_t item) {
  auto const& [tokens, targets] = sequence;
  Record record{.item = item, .where = put_where(where)};
  record.length = static_cast<std::int32_t>(tokens.size());
  record.targets = static_cast<std::int32_t>(sequence.target_count());
  record.ids = put_ids(tokens);
  if (!tokens.empty() && targets.back() != kNoTarget &&
      std::ranges::equal(targets.first(targets.size() - 1), tokens.subspan(1))) {
    put_ids(targets.last(1));
  } else {
    record.own_targets = static_cast<std::int64_t>(columns_.targets.size());
    for (const std::int32_t target : targets) {
      if (target != kNoTarget) note(target);
    }
    columns_.targets.append(targets);
  }
  put(record);
}

void Dataset::add(std::span<std::int32_t const> ids, std::size_t loss_from, std::string_view where,
                  std::int64_t item) {
  add(make_sequence(ids, loss_from), where, item);
}

void Dataset::add_document(std::span<std::int32_t const> ids, std::size_t step,
                           std::string_view where, std::int64_t item) {
  if (ids.size() < 2) return;
  const Record whole{.ids = put_ids(ids), .item = item, .where = put_where(where)};
  for (Record const& part : parts_of(whole, ids.size(), step)) put(part);
}

std::vector<Dataset::Record> Dataset::parts_of(Record const& document, std::size_t count,
                                               std::size_t step) {
  std::vector<Record> parts;
  for (std::size_t from = 0; from + 1 < count; from += step) {
    Record& part = parts.emplace_back(document);
    part.ids += static_cast<std::int64_t>(from);
    part.length = static_cast<std::int32_t>(std::min(step, count - 1 - from));
    part.targets = part.length;
  }
  return parts;
}

std::string content_hash(Dataset const& data) {
  if (!data.content_hash_.empty()) return data.content_hash_;
  Hasher hasher;
  for (std::size_t i = 0; i < data.size(); ++i) {
    hasher.add(data.length(i));
    hasher.add(std::as_bytes(data[i].tokens));
    hasher.add(std::as_bytes(data[i].targets));
  }
  return hasher.text();
}

void check_ids(Dataset const& data, std::int64_t vocab) {
  if (data.smallest_id() >= 0 && data.largest_id() < vocab) return;
  std::int64_t bad = 0;
  std::int32_t worst = 0;
  std::string first;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const auto look = [&](std::int32_t id) {
      if (id >= 0 && id < vocab) return;
      if (bad++ == 0) {
        first = data.where(i);
        worst = id;
      }
      if (worst >= 0 && (id < 0 || id > worst)) worst = id;
    };
    // Every id of a document is a token or the last target.
    SequenceView const& sequence = data[i];
    for (const std::int32_t id : sequence.tokens) look(id);
    if (!sequence.targets.empty() && sequence.targets.back() != kNoTarget) {
      look(sequence.targets.back());
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

#include <algorithm>
#include <limits>
#include <numeric>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/data/dataset.h"
#include "shuffle.h"

namespace lomo {

namespace {

std::int64_t length(Sequence const& sequence) {
  return static_cast<std::int64_t>(sequence.tokens.size());
}

}  // namespace

Sampler::Sampler(Dataset const& data, std::int64_t sequences, std::int64_t max_tokens,
                 std::uint64_t seed, bool shuffle)
    : data_(data), sequences_(sequences), max_tokens_(max_tokens), seed_(seed), shuffle_(shuffle) {
  if (sequences < 0 || max_tokens < 0 || (sequences == 0 && max_tokens == 0)) {
    throw Error(Exit::usage, "a batch needs a size: sequences is " + std::to_string(sequences) +
                                 " and max_tokens is " + std::to_string(max_tokens) +
                                 "; give at least one of them, and none below zero");
  }
  if (data.sequences.empty()) throw Error(Exit::data, "there is no sequence to draw batches from");
  for (std::size_t i = 0; max_tokens > 0 && i < data.sequences.size(); ++i) {
    if (length(data.sequences[i]) > max_tokens) {
      const std::string name =
          i < data.where.size() ? data.where[i] : "sequence " + std::to_string(i);
      throw Error(Exit::data, name + " has " + counted(length(data.sequences[i]), "token") +
                                  ", more than a batch may hold (batch.max_tokens " +
                                  std::to_string(max_tokens) +
                                  "); raise batch.max_tokens or lower data.max_length");
    }
  }
  order_ = order(0);
}

std::vector<std::int64_t> Sampler::order(std::int64_t epoch) const {
  const auto count = static_cast<std::int64_t>(data_.sequences.size());
  if (shuffle_) {
    return shuffled(count, random_key(seed_, "shuffle", "", static_cast<std::uint64_t>(epoch)));
  }
  std::vector<std::int64_t> in_file_order(static_cast<std::size_t>(count));
  std::iota(in_file_order.begin(), in_file_order.end(), 0);
  return in_file_order;
}

std::int64_t Sampler::take(std::vector<std::int64_t> const& order, std::int64_t from) const {
  const auto count = static_cast<std::int64_t>(order.size());
  std::int64_t tokens = 0;
  std::int64_t end = from;
  while (end < count && (sequences_ == 0 || end - from < sequences_)) {
    const auto index = static_cast<std::size_t>(order[static_cast<std::size_t>(end)]);
    tokens += length(data_.sequences[index]);
    if (max_tokens_ > 0 && tokens > max_tokens_) break;
    ++end;
  }
  return end - from;
}

std::vector<Sequence const*> Sampler::draw() {
  const std::int64_t count = take(order_, position_.next);
  std::vector<Sequence const*> drawn;
  drawn.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t index = order_[static_cast<std::size_t>(position_.next + i)];
    drawn.push_back(&data_.sequences[static_cast<std::size_t>(index)]);
  }
  seek({position_.epoch, position_.next + count});
  return drawn;
}

Batch Sampler::next() {
  std::vector<Sequence> sequences;
  for (Sequence const* sequence : draw()) sequences.push_back(*sequence);
  return make_batch(sequences);
}

void Sampler::seek(DataPosition position) {
  const auto count = static_cast<std::int64_t>(data_.sequences.size());
  if (position.epoch < 0 || position.next < 0 || position.next > count) {
    throw Error(Exit::data, "data position (epoch " + std::to_string(position.epoch) +
                                ", sequence " + std::to_string(position.next) +
                                ") is outside a data set of " + counted(count, "sequence") +
                                "; was the run started with other data?");
  }
  if (position.next == count) position = {position.epoch + 1, 0};
  if (position.epoch != position_.epoch) order_ = order(position.epoch);
  position_ = position;
}

std::int64_t Sampler::batches_per_epoch(std::int64_t epoch) const {
  const std::vector<std::int64_t> of_epoch = order(epoch);
  std::int64_t batches = 0;
  for (std::int64_t from = 0; from < static_cast<std::int64_t>(of_epoch.size()); ++batches) {
    from += take(of_epoch, from);
  }
  return batches;
}

std::int64_t Sampler::batches_in(std::int64_t epochs, std::int64_t maximum) const {
  const std::int64_t limit = maximum > 0 ? maximum : std::numeric_limits<std::int64_t>::max();
  if (max_tokens_ == 0) {
    const std::int64_t each = batches_per_epoch(0);
    return epochs > limit / each ? limit : std::min(limit, epochs * each);
  }
  Activity activity("counting the batches of epochs", static_cast<double>(epochs));
  std::int64_t batches = 0;
  for (std::int64_t epoch = 0; epoch < epochs && batches < limit; ++epoch) {
    batches += batches_per_epoch(epoch);
    activity.advance();
  }
  return std::min(batches, limit);
}

Sampler::Largest Sampler::largest(std::int64_t batches) const {
  std::vector<std::int64_t> targets;
  for (Sequence const& sequence : data_.sequences) {
    targets.push_back(static_cast<std::int64_t>(
        sequence.targets.size() -
        static_cast<std::size_t>(
            std::count(sequence.targets.begin(), sequence.targets.end(), kNoTarget))));
  }
  Sampler from_start(data_, sequences_, max_tokens_, seed_, shuffle_);
  // In file order all epochs are alike.
  if (!shuffle_) batches = std::min(batches, batches_per_epoch(0));
  Activity activity("looking for the largest batch", static_cast<double>(batches));
  Largest largest;
  for (std::int64_t i = 0; i < batches; ++i) {
    Largest batch;
    for (Sequence const* sequence : from_start.draw()) {
      batch.tokens += length(*sequence);
      batch.targets += targets[static_cast<std::size_t>(sequence - data_.sequences.data())];
    }
    largest.tokens = std::max(largest.tokens, batch.tokens);
    largest.targets = std::max(largest.targets, batch.targets);
    activity.advance();
  }
  return largest;
}

}  // namespace lomo

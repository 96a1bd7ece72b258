#include <algorithm>
#include <limits>
#include <numeric>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/data/dataset.h"
#include "shuffle.h"

namespace lomo {

Sampler::Sampler(Dataset const& data, std::int64_t sequences, std::int64_t max_tokens,
                 std::uint64_t seed, bool shuffle)
    : data_(data), sequences_(sequences), max_tokens_(max_tokens), seed_(seed), shuffle_(shuffle) {
  if (sequences < 0 || max_tokens < 0 || (sequences == 0 && max_tokens == 0)) {
    throw Error(Exit::usage, "a batch needs a size: sequences is " + std::to_string(sequences) +
                                 " and max_tokens is " + std::to_string(max_tokens) +
                                 "; give at least one of them, and none below zero");
  }
  if (data.empty()) throw Error(Exit::data, "there is no sequence to draw batches from");
  for (std::size_t i = 0; max_tokens > 0 && i < data.size(); ++i) {
    if (data.length(i) > max_tokens) {
      throw Error(Exit::data, data.where(i) + " has " + counted(data.length(i), "token") +
                                  ", more than a batch may hold (batch.max_tokens " +
                                  std::to_string(max_tokens) +
                                  "); raise batch.max_tokens or lower data.max_length");
    }
  }
  order_ = order(0);
}

std::vector<std::int64_t> Sampler::order(std::int64_t epoch) const {
  const auto count = static_cast<std::int64_t>(data_.size());
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
    tokens += data_.length(index);
    if (max_tokens_ > 0 && tokens > max_tokens_) break;
    ++end;
  }
  return end - from;
}

std::vector<std::size_t> Sampler::draw_indices() {
  const std::int64_t count = take(order_, position_.next);
  std::vector<std::size_t> drawn;
  drawn.reserve(static_cast<std::size_t>(count));
  for (std::int64_t i = 0; i < count; ++i) {
    drawn.push_back(static_cast<std::size_t>(order_[static_cast<std::size_t>(position_.next + i)]));
  }
  seek({position_.epoch, position_.next + count});
  return drawn;
}

std::vector<SequenceView> Sampler::draw() {
  std::vector<SequenceView> drawn;
  for (const std::size_t i : draw_indices()) drawn.push_back(data_[i]);
  return drawn;
}

Batch Sampler::next() {
  return make_batch(draw());
}

void Sampler::seek(DataPosition position) {
  const auto count = static_cast<std::int64_t>(data_.size());
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
  Sampler from_start(data_, sequences_, max_tokens_, seed_, shuffle_);
  // In file order all epochs are alike.
  if (!shuffle_) batches = std::min(batches, batches_per_epoch(0));
  Activity activity("looking for the largest batch", static_cast<double>(batches));
  Largest largest;
  for (std::int64_t i = 0; i < batches; ++i) {
    Largest batch;
    for (const std::size_t index : from_start.draw_indices()) {
      batch.tokens += data_.length(index);
      batch.targets += data_.targets(index);
    }
    largest.tokens = std::max(largest.tokens, batch.tokens);
    largest.targets = std::max(largest.targets, batch.targets);
    activity.advance();
  }
  return largest;
}

}  // namespace lomo

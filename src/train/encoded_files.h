#pragma once
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/core/random.h"
#include "lomo/data/conversation.h"
#include "lomo/data/encoding_stream.h"
#include "lomo/data/example.h"
#include "lomo/data/readers.h"
#include "lomo/data/subset.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// How the files of a task are read and encoded.
template <class Item>
struct FileSource {
  std::function<void(std::string const& file, Take<Item> const& take)> read;
  Encode<Item> encode_train, encode_eval;
  bool keeps_eval_items = false;  // they are needed besides their sequences
  LargeItems<Item> large = {};    // are encoded by all threads; not where items are kept
};

/// What of the items goes where.
template <class Item>
struct EncodedFiles {
  Dataset train, eval;
  std::vector<Item> eval_items;
};

/// Items of one group are held out together; empty: of none.
inline std::string group_of(Example const& example) {
  return example.group;
}
template <class Item>
std::string group_of(Item const&) {
  return {};
}

/// About how much text an item is.
inline std::size_t bytes_of(Example const& example) {
  return example.prompt.size() + example.answer.size();
}
inline std::size_t bytes_of(Document const& document) {
  return document.size();
}
inline std::size_t bytes_of(Conversation const& conversation) {
  return conversation.bytes;
}
inline std::size_t bytes_of(IdList const& list) {
  return list.ids.size() * sizeof(std::int32_t);
}

/// How often each item of a file is in a data set: `repeat` times on average, spread evenly from a
/// place that `seed` and `file` choose.
class Repetition {
 public:
  Repetition(double repeat, std::uint64_t seed, std::string const& file)
      : repeat_(repeat), at_(RandomStream(random_key(seed, "repeat", file, 0)).uniform()) {}
  std::int32_t next() {
    const double before = std::floor(at_);
    at_ += repeat_;
    return static_cast<std::int32_t>(std::floor(at_) - before);
  }

 private:
  double repeat_, at_;
};

/// Those of `count` items that a cap leaves: all in order, or some of them in an order of their
/// own.
class Chosen {
 public:
  Chosen() = default;
  Chosen(Subset subset, std::int64_t count, std::int64_t cap, std::uint64_t seed) {
    if (cap <= 0 || count <= cap) return;
    places_.emplace();
    for (const std::int64_t i : choose_subset(subset, count, cap, seed)) {
      const auto place = static_cast<std::int64_t>(places_->size());
      places_->emplace(i, place);
    }
  }
  bool all() const { return !places_; }
  std::int64_t size() const { return static_cast<std::int64_t>(places_->size()); }
  /// Where the item is among the chosen ones, -1 when it is not.
  std::int64_t place(std::int64_t item) const {
    const auto at = places_->find(item);
    return at == places_->end() ? -1 : at->second;
  }

 private:
  std::optional<std::unordered_map<std::int64_t, std::int64_t>> places_;  // by item
};

/// Where the items of one data set arrive: they are encoded as they come, or kept until all are
/// there where they have another order or are needed themselves.
template <class Item>
class Arrivals {
 public:
  Arrivals(Chosen chosen, bool keep, Encode<Item> const& encode, LargeItems<Item> const& large,
           DatasetWriter& out)
      : chosen_(std::move(chosen)),
        keep_(keep),
        encode_(encode),
        out_(out),
        stream_(out, encode, encoding_threads(), large) {
    if (!chosen_.all()) kept_.resize(static_cast<std::size_t>(chosen_.size()));
    if (!chosen_.all()) copies_.resize(kept_.size());
  }

  void add(Item item, std::int32_t copies) {
    const std::int64_t index = count_++;
    if (!chosen_.all()) {
      const std::int64_t place = chosen_.place(index);
      if (place < 0) return;
      kept_[static_cast<std::size_t>(place)] = std::move(item);
      copies_[static_cast<std::size_t>(place)] = copies;
    } else if (keep_) {
      kept_.push_back(std::move(item));
    } else {
      const std::size_t bytes = bytes_of(item);
      stream_.add(std::move(item), bytes, copies);
    }
  }
  std::int64_t count() const { return count_; }

  std::vector<Item> finish() {
    if (keep_) {
      encode_all<Item>(kept_, encode_, encoding_threads(), out_);
      return std::move(kept_);
    }
    for (std::size_t i = 0; i < kept_.size(); ++i) {
      const std::size_t bytes = bytes_of(kept_[i]);
      stream_.add(std::move(kept_[i]), bytes, copies_[i]);
    }
    stream_.finish();
    return {};
  }

 private:
  Chosen chosen_;
  bool keep_;
  Encode<Item> const& encode_;
  DatasetWriter& out_;
  EncodingStream<Item> stream_;
  std::vector<Item> kept_;
  std::vector<std::int32_t> copies_;
  std::int64_t count_ = 0;
};

/// Reads the items of data.train, each with how often it is used; those never used are left out.
template <class Item, class Use>
void each_train_item(TrainConfig const& config, FileSource<Item> const& source, Use const& use) {
  DataSection const& data = config.data;
  for (std::size_t f = 0; f < data.train.size(); ++f) {
    Repetition repetition(data.repeats[f], config.train.seed, data.train[f]);
    source.read(data.train[f], [&](Item item) {
      if (const std::int32_t copies = repetition.next(); copies > 0) use(std::move(item), copies);
    });
  }
}

/// Throws Error(Exit::data): data.validation_share found nothing to hold out of `count` items.
[[noreturn]] void refuse_share(DataSection const& data, std::int64_t count);

/// Reads and encodes the files that config.data names into `train` and `eval`, as much of them as
/// `needs` says. A share that is held out and caps on examples are drawn before items are encoded,
/// which takes a first reading of the files. Held-out items are once in the data whatever their
/// file's repeat.
template <class Item>
EncodedFiles<Item> encode_files(TrainConfig const& config, InputNeeds needs,
                                FileSource<Item> const& source, DatasetWriter& train_out,
                                DatasetWriter& eval_out) {
  DataSection const& data = config.data;
  const std::uint64_t seed = config.train.seed;
  const bool share = data.validation_share > 0;
  std::vector<bool> held;  // by item of data.train
  std::int64_t train_count = 0, eval_count = 0;
  if (share || data.train_examples > 0) {
    std::vector<std::string> groups;
    each_train_item(config, source, [&](Item const& item, std::int32_t) {
      groups.push_back(share ? group_of(item) : std::string());
    });
    train_count = static_cast<std::int64_t>(groups.size());
    if (share) {
      held = hold_out(groups, data.validation_share, seed);
      eval_count = std::ranges::count(held, true);
      if (eval_count == 0) refuse_share(data, train_count);
      train_count -= eval_count;
    }
  }
  if (!share && data.eval_examples > 0 && needs.eval) {
    for (std::string const& file : data.validation) {
      source.read(file, [&](Item const&) { ++eval_count; });
    }
  }
  Arrivals<Item> train(Chosen(data.sampling, train_count, data.train_examples, seed), false,
                       source.encode_train, source.large, train_out);
  Arrivals<Item> eval(Chosen(data.sampling, eval_count, data.eval_examples, seed),
                      source.keeps_eval_items, source.encode_eval, source.large, eval_out);
  if (needs.eval) {
    for (std::string const& file : data.validation) {
      source.read(file, [&](Item item) { eval.add(std::move(item), 1); });
    }
  }
  if (needs.train || (share && needs.eval)) {
    std::size_t index = 0;
    each_train_item(config, source, [&](Item item, std::int32_t copies) {
      if (share && held[index++]) {
        if (needs.eval) eval.add(std::move(item), 1);
      } else if (needs.train) {
        train.add(std::move(item), copies);
      }
    });
  }
  EncodedFiles<Item> all;
  train.finish();
  all.eval_items = eval.finish();
  all.train = train_out.finish();
  all.eval = eval_out.finish();
  return all;
}

}  // namespace lomo

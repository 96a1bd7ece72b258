#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <future>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "lomo/core/activity.h"
#include "lomo/data/dataset.h"

namespace lomo {

/// Threads to encode with: one for each core that this process may run on.
int encoding_threads();

/// Makes a Dataset of some items, which Dataset::item() is the index of.
template <class Item>
using Encode = std::function<Dataset(std::span<Item const>)>;

/// Items that are too large for one thread.
template <class Item>
struct LargeItems {
  std::function<bool(Item const&)> contains;  // empty: there are none
  /// Adds an item of this index to a data set, each of its sequences `copies` times.
  std::function<void(Item const&, std::int64_t index, std::int32_t copies, DatasetWriter&)> encode;
};

/// What became of the items [begin, end) of those that were given.
struct EncodedPart {
  Dataset data;
  std::size_t begin = 0, end = 0;
  std::exception_ptr error;
};

/// Encodes items on `threads` threads, a run of neighbours each. The parts are in order; of what is
/// thrown the first in order is.
template <class Item>
std::vector<EncodedPart> encode_parts(std::span<Item const> items, Encode<Item> const& encode,
                                      int threads) {
  std::vector<EncodedPart> parts(std::min(items.size(), static_cast<std::size_t>(threads)));
  const auto encode_part = [&](EncodedPart& part) {
    try {
      part.data = encode(items.subspan(part.begin, part.end - part.begin));
    } catch (...) {
      part.error = std::current_exception();
    }
  };
  std::vector<std::jthread> others;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i].begin = items.size() * i / parts.size();
    parts[i].end = items.size() * (i + 1) / parts.size();
    if (i > 0) others.emplace_back(encode_part, std::ref(parts[i]));
  }
  if (!parts.empty()) encode_part(parts.front());
  others.clear();  // waits for them
  for (EncodedPart const& part : parts) {
    if (part.error) std::rethrow_exception(part.error);
  }
  return parts;
}

/// Adds parts to the whole, whose item `first_item` is the first that was encoded.
void append(std::vector<EncodedPart> const& parts, std::int64_t first_item,
            std::span<std::int32_t const> copies, DatasetWriter& out);

/// Encodes items while more of them are read, and adds what becomes of them to a DatasetWriter in
/// their order. Two loads of items are in memory: one that is encoded, one that is gathered.
template <class Item>
class EncodingStream {
 public:
  EncodingStream(DatasetWriter& out, Encode<Item> encode, int threads, LargeItems<Item> large = {})
      : out_(out), encode_(std::move(encode)), threads_(threads), large_(std::move(large)) {}

  /// `bytes`: about how much text it is. `copies`: how often its sequences are in the data set.
  void add(Item item, std::size_t bytes, std::int32_t copies = 1) {
    if (large_.contains && large_.contains(item)) {
      finish();
      large_.encode(item, first_item_++, copies, out_);
      return;
    }
    load_.items.push_back(std::move(item));
    load_.copies.push_back(copies);
    bytes_ += bytes;
    if (bytes_ >= kBytes * static_cast<std::size_t>(threads_)) start();
  }
  /// All that was added is in the DatasetWriter then. Not called when something was thrown.
  void finish() {
    start();
    take();
  }

 private:
  static constexpr std::size_t kBytes = std::size_t{1} << 20;  // a load of each thread
  struct Load {
    std::vector<Item> items;
    std::vector<std::int32_t> copies;
  };

  void start() {
    take();
    encoding_ = std::exchange(load_, {});
    bytes_ = 0;
    if (encoding_.items.empty()) return;
    parts_ = std::async(std::launch::async,
                        [this] { return encode_parts<Item>(encoding_.items, encode_, threads_); });
  }
  void take() {
    if (!parts_.valid()) return;
    append(parts_.get(), first_item_, encoding_.copies, out_);
    first_item_ += static_cast<std::int64_t>(encoding_.items.size());
  }

  DatasetWriter& out_;
  Encode<Item> encode_;
  int threads_;
  LargeItems<Item> large_;
  Load load_, encoding_;
  std::size_t bytes_ = 0;  // of load_
  std::int64_t first_item_ = 0;
  std::future<std::vector<EncodedPart>> parts_;  // the last member: it uses the others
};

/// The same for items that are all there and stay, each once.
template <class Item>
void encode_all(std::span<Item const> items, Encode<Item> const& encode, int threads,
                DatasetWriter& out) {
  constexpr std::size_t kItems = 1024;  // of a load
  Activity activity("tokenizing examples", static_cast<double>(items.size()));
  for (std::size_t at = 0; at < items.size();) {
    const std::size_t load = std::min(items.size() - at, kItems);
    append(encode_parts<Item>(items.subspan(at, load), encode, threads),
           static_cast<std::int64_t>(at), {}, out);
    activity.advance(static_cast<double>(load));
    at += load;
  }
}

}  // namespace lomo

#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/data/example.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// Training sequences in file order, with what had to be cut to make them fit.
struct Dataset {
  std::vector<Sequence> sequences;
  std::int64_t truncated = 0;  // passages cut
  std::int64_t tokens() const;
  std::int64_t targets() const;
};

/// Where a run stands in its data. Saved in checkpoints; `next` is exact.
struct DataPosition {
  std::int64_t epoch = 0;
  std::int64_t next = 0;  // sequences already taken from this epoch's order
  bool operator==(DataPosition const&) const = default;
};

/// Draws batches: each epoch is a seeded shuffle of all sequences (key: seed, epoch), cut into
/// batches of `sequences` sequences, none of more than `max_tokens` tokens (0: no cap; a batch then
/// holds fewer sequences). The last batch of an epoch may be short.
class Sampler {
 public:
  Sampler(Dataset const& data, std::int64_t sequences, std::int64_t max_tokens, std::uint64_t seed,
          bool shuffle = true);
  /// The next batch; moves on to the next epoch by itself.
  Batch next();
  DataPosition position() const { return position_; }
  void seek(DataPosition position);
  std::int64_t batches_per_epoch(std::int64_t epoch) const;
  /// The largest batch in tokens of the first `epochs` epochs, and the largest N'.
  struct Largest {
    std::int64_t tokens = 0, targets = 0;
  };
  Largest largest(std::int64_t epochs) const;

 private:
  std::vector<std::int64_t> order(std::int64_t epoch) const;
  std::int64_t take(std::vector<std::int64_t> const& order, std::int64_t from) const;

  Dataset const& data_;
  std::int64_t sequences_;
  std::int64_t max_tokens_;
  std::uint64_t seed_;
  bool shuffle_;
  DataPosition position_;
  std::vector<std::int64_t> order_;
};

}  // namespace lomo

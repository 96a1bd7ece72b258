#pragma once
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/data/data_statistics.h"
#include "lomo/data/example.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// Training sequences in file order, with what had to be cut to make them fit.
struct Dataset {
  std::vector<Sequence> sequences;
  std::vector<std::string> where;   // "train.jsonl:17" of each sequence, for messages; may be empty
  std::vector<std::int64_t> items;  // index of the example or document that each is of; as `where`
  std::int64_t truncated = 0;       // prompts cut
  DataStatistics statistics;
  std::int64_t tokens() const;
  std::int64_t targets() const;
};

/// A hash (XXH3) of every id and target, in order: whether a run still has the data it began with.
std::string content_hash(Dataset const& data);

/// Throws Error(Exit::data) counting the ids that are negative or not below `vocab` (rows of the
/// embedding), naming one of them and the first place they occur.
void check_ids(Dataset const& data, std::int64_t vocab);

/// Indices [0, count) split in two, each ascending: a seeded random `share` of them is kept for
/// validation (at least one and not all when 0 < share < 1 and count > 1).
struct Split {
  std::vector<std::int64_t> train;
  std::vector<std::int64_t> validation;
};
Split split_validation(std::int64_t count, double share, std::uint64_t seed);

/// Where a run stands in its data. Saved in checkpoints; `next` is exact.
struct DataPosition {
  std::int64_t epoch = 0;
  std::int64_t next = 0;  // sequences already taken from this epoch's order
  bool operator==(DataPosition const&) const = default;
};

/// Draws batches: each epoch is a seeded shuffle of all sequences (key: seed, epoch), cut into
/// batches of `sequences` sequences (0: as many as max_tokens holds), none of more than
/// `max_tokens` tokens (0: no cap; a capped batch holds fewer sequences). The last batch of an
/// epoch may be short. Throws Error(Exit::data) without data or when one sequence alone is over the
/// cap, naming it. Keeps a reference to `data`.
class Sampler {
 public:
  Sampler(Dataset const& data, std::int64_t sequences, std::int64_t max_tokens, std::uint64_t seed,
          bool shuffle = true);
  /// The next batch. After the last one of epoch e the position is (e + 1, 0).
  Batch next();
  /// The same, as the sequences that the batch would be made of.
  std::vector<Sequence const*> draw();
  DataPosition position() const { return position_; }
  void seek(DataPosition position);
  std::int64_t batches_per_epoch(std::int64_t epoch) const;
  /// Of epochs 0, 1, ... `epochs` - 1, but no more than `maximum` (0: no limit). Without a cap on
  /// tokens all epochs have as many; else as many epochs are looked at as it takes.
  std::int64_t batches_in(std::int64_t epochs, std::int64_t maximum) const;
  /// The largest batch in tokens of the first `batches` batches, and the largest N'.
  struct Largest {
    std::int64_t tokens = 0, targets = 0;
  };
  Largest largest(std::int64_t batches) const;

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

#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/batch.h"
#include "lomo/data/data_statistics.h"
#include "lomo/data/example.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/files.h"

namespace lomo {

/// Numbers or bytes in a row: in memory, or those of a file that is mapped.
template <class T>
class Column {
 public:
  Column() = default;
  explicit Column(MappedFile file) : file_(std::make_shared<MappedFile>(std::move(file))) {}

  std::span<T const> all() const {
    if (!file_) return memory_;
    return {reinterpret_cast<T const*>(file_->bytes().data()), file_->bytes().size() / sizeof(T)};
  }
  std::size_t size() const { return all().size(); }
  /// Of a column in memory.
  void append(std::span<T const> more) { memory_.insert(memory_.end(), more.begin(), more.end()); }

 private:
  std::vector<T> memory_;
  std::shared_ptr<MappedFile const> file_;
};

struct DatasetFacts;

/// What encoding made of data files: sequences in file order, in flat arrays, and what had to be
/// cut to make them fit. It is built in memory; a large one lies in files, see DatasetWriter.
class Dataset {
 public:
  std::size_t size() const { return columns_.records.size(); }
  bool empty() const { return size() == 0; }
  /// Valid as long as the data set, until something is added.
  SequenceView operator[](std::size_t i) const;
  std::vector<SequenceView> all() const;
  /// Of the sequence: its tokens, and how many of them have a target.
  std::int64_t length(std::size_t i) const { return columns_.records.all()[i].length; }
  std::int64_t targets(std::size_t i) const { return columns_.records.all()[i].targets; }
  /// "train.jsonl:17", for messages.
  std::string where(std::size_t i) const;
  /// Index of the example or document that the sequence is of.
  std::int64_t item(std::size_t i) const { return columns_.records.all()[i].item; }

  /// Of all sequences.
  std::int64_t tokens() const { return tokens_; }
  std::int64_t targets() const { return targets_; }
  /// The smallest and the largest id; of no ids 0 and -1.
  std::int32_t smallest_id() const { return smallest_id_; }
  std::int32_t largest_id() const { return largest_id_; }

  void add(SequenceView sequence, std::string_view where, std::int64_t item);
  /// make_sequence(ids, loss_from).
  void add(std::span<std::int32_t const> ids, std::size_t loss_from, std::string_view where,
           std::int64_t item);
  /// A document, every id but the first a target, cut into sequences of at most `step` tokens,
  /// which share the id between them: the last target of one is the first token of the next.
  void add_document(std::span<std::int32_t const> ids, std::size_t step, std::string_view where,
                    std::int64_t item);
  /// Ids of a document that DatasetWriter::end_document() makes sequences of.
  void add_ids(std::span<std::int32_t const> ids) { put_ids(ids); }

  std::int64_t truncated = 0;  // prompts cut
  DataStatistics statistics;

 private:
  friend class DatasetWriter;
  friend std::string content_hash(Dataset const& data);
  friend DatasetFacts facts_of(Dataset const& data);
  friend Dataset map_dataset(std::filesystem::path const& folder, std::string const& name,
                             DatasetFacts const& facts);
  struct Record {
    std::int64_t ids = 0;           // where its ids begin; one more than it has tokens
    std::int64_t own_targets = -1;  // where its targets begin; -1: they are ids 1, 2, ...
    std::int64_t item = 0;
    std::int64_t where = 0;  // where its place begins, which ends with a zero byte
    std::int32_t length = 0, targets = 0;
  };
  struct Columns {
    Column<Record> records;
    Column<std::int32_t> ids, targets;
    Column<char> where;
  };
  std::string files_hash() const;
  /// The sequences of a document of `count` ids from document.ids on.
  static std::vector<Record> parts_of(Record const& document, std::size_t count, std::size_t step);
  static Columns mapped_columns(std::filesystem::path const& folder, std::string const& name);
  std::int64_t put_ids(std::span<std::int32_t const> ids);
  std::int64_t put_where(std::string_view where);
  void note(std::int32_t id);
  void put(Record const& record);

  Columns columns_;
  std::int64_t tokens_ = 0, targets_ = 0;
  std::int32_t smallest_id_ = 0, largest_id_ = -1;
  std::string content_hash_;  // of a mapped one
};

/// Collects what encoding makes of data files, part by part: in memory, or in files of a folder
/// that are mapped at the end.
class DatasetWriter {
 public:
  /// In memory.
  DatasetWriter();
  /// In `folder`, which is there, in files whose names begin with `name`.
  DatasetWriter(std::filesystem::path const& folder, std::string const& name);
  DatasetWriter(DatasetWriter const&) = delete;  // owns files
  ~DatasetWriter();

  /// Adds all of `part`, whose item i is item `first_item` + i of the whole, and each sequence as
  /// often as `copies` says of its item; empty: once.
  void append(Dataset const& part, std::int64_t first_item,
              std::span<std::int32_t const> copies = {});
  /// How many ids there are so far.
  std::int64_t ids() const { return ids_; }
  /// Dataset::add_document() of all ids from `first` on, which were appended by themselves, each
  /// sequence `copies` times.
  void end_document(std::int64_t first, std::size_t step, std::string_view where, std::int64_t item,
                    std::int32_t copies);
  /// The whole. Nothing may be added then.
  Dataset finish();

 private:
  void put(std::span<Dataset::Record const> records);
  struct Files;
  std::unique_ptr<Files> files_;  // null: in memory
  Dataset whole_;
  std::int64_t ids_ = 0, own_targets_ = 0, where_ = 0;  // how many there are so far
  std::filesystem::path folder_;
  std::string name_;
};

/// What is known of a data set in files without reading them.
struct DatasetFacts {
  std::int32_t smallest_id = 0, largest_id = -1;
  std::string content_hash;
  std::string files_hash;  // XXH3 of the columns as they are in files
};
DatasetFacts facts_of(Dataset const& data);

/// What a DatasetWriter left in a folder. Statistics are not in it. Throws Error(Exit::data) when
/// the files are not those that `facts` are of.
Dataset map_dataset(std::filesystem::path const& folder, std::string const& name,
                    DatasetFacts const& facts);

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
  std::vector<SequenceView> draw();
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
  std::vector<std::size_t> draw_indices();
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

#include <span>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/data/dataset.h"
#include "lomo/io/hash.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

fs::path file_of(fs::path const& folder, std::string const& name, char const* column) {
  return folder / (name + "." + column);
}

template <class T>
void write(AtomicFile& file, std::span<T const> values) {
  file.write(std::as_bytes(values));
}

/// A record of a part, whose columns begin at these places of the whole.
template <class Record>
Record moved(Record record, std::int64_t ids, std::int64_t targets, std::int64_t where,
             std::int64_t item) {
  record.ids += ids;
  if (record.own_targets >= 0) record.own_targets += targets;
  record.where += where;
  record.item += item;
  return record;
}

}  // namespace

struct DatasetWriter::Files {
  AtomicFile records, ids, targets, where;
  Files(fs::path const& folder, std::string const& name)
      : records(file_of(folder, name, "records")),
        ids(file_of(folder, name, "ids")),
        targets(file_of(folder, name, "targets")),
        where(file_of(folder, name, "where")) {}
};

DatasetWriter::DatasetWriter() = default;
DatasetWriter::DatasetWriter(fs::path const& folder, std::string const& name)
    : files_(std::make_unique<Files>(folder, name)), folder_(folder), name_(name) {}
DatasetWriter::~DatasetWriter() = default;

void DatasetWriter::append(Dataset const& part, std::int64_t first_item,
                           std::span<std::int32_t const> copies) {
  Dataset::Columns const& from = part.columns_;
  std::vector<Dataset::Record> records;
  for (Dataset::Record const& record : from.records.all()) {
    const auto item = static_cast<std::size_t>(record.item);
    const std::int32_t times = copies.empty() ? 1 : copies[item];
    records.insert(records.end(), static_cast<std::size_t>(times),
                   moved(record, ids_, own_targets_, where_, first_item));
  }
  put(records);
  ids_ += static_cast<std::int64_t>(from.ids.size());
  own_targets_ += static_cast<std::int64_t>(from.targets.size());
  where_ += static_cast<std::int64_t>(from.where.size());
  if (files_) {
    write(files_->ids, from.ids.all());
    write(files_->targets, from.targets.all());
    write(files_->where, from.where.all());
  } else {
    whole_.columns_.ids.append(from.ids.all());
    whole_.columns_.targets.append(from.targets.all());
    whole_.columns_.where.append(from.where.all());
  }
  if (part.largest_id_ >= part.smallest_id_) {
    whole_.note(part.smallest_id_);
    whole_.note(part.largest_id_);
  }
  whole_.truncated += part.truncated;
  whole_.statistics.add(part.statistics);
}

void DatasetWriter::put(std::span<Dataset::Record const> records) {
  if (files_) {
    write(files_->records, records);
  } else {
    whole_.columns_.records.append(records);
  }
  for (Dataset::Record const& record : records) {
    whole_.tokens_ += record.length;
    whole_.targets_ += record.targets;
  }
}

void DatasetWriter::end_document(std::int64_t first, std::size_t step, std::string_view where,
                                 std::int64_t item, std::int32_t copies) {
  const Dataset::Record whole{.ids = first, .item = item, .where = where_};
  const auto count = static_cast<std::size_t>(ids_ - first);
  std::vector<Dataset::Record> records;
  for (Dataset::Record const& part : Dataset::parts_of(whole, count, step)) {
    records.insert(records.end(), static_cast<std::size_t>(copies), part);
  }
  put(records);
  std::string place(where);
  place.push_back('\0');
  where_ += static_cast<std::int64_t>(place.size());
  if (files_) {
    write<char>(files_->where, place);
  } else {
    whole_.columns_.where.append(place);
  }
}

Dataset DatasetWriter::finish() {
  if (files_) {
    for (AtomicFile* file : {&files_->records, &files_->ids, &files_->targets, &files_->where}) {
      file->commit();
    }
    files_.reset();
    whole_.columns_ = Dataset::mapped_columns(folder_, name_);
  }
  return std::move(whole_);
}

Dataset::Columns Dataset::mapped_columns(fs::path const& folder, std::string const& name) {
  const auto map = [&](char const* column) {
    return MappedFile(file_of(folder, name, column), Exit::data);
  };
  Columns columns{.records = Column<Record>(map("records")),
                  .ids = Column<std::int32_t>(map("ids")),
                  .targets = Column<std::int32_t>(map("targets")),
                  .where = Column<char>(map("where"))};
  const auto fits = [](std::int64_t begin, std::int64_t count, std::size_t size) {
    return begin >= 0 && count >= 0 && begin <= static_cast<std::int64_t>(size) - count;
  };
  bool whole = columns.where.size() == 0 || columns.where.all().back() == '\0';
  for (Record const& record : columns.records.all()) {
    const bool own = record.own_targets >= 0;
    const std::int64_t last = own || record.length == 0 ? 0 : 1;
    whole = whole && fits(record.ids, record.length + last, columns.ids.size()) &&
            fits(record.where, 1, columns.where.size()) && record.targets >= 0 &&
            record.targets <= record.length &&
            (!own || fits(record.own_targets, record.length, columns.targets.size()));
  }
  if (!whole) {
    throw Error(Exit::data, file_of(folder, name, "records").string() + ": is damaged");
  }
  return columns;
}

std::string Dataset::files_hash() const {
  Hasher hasher;
  const auto add = [&](auto const& column) {
    hasher.add(static_cast<std::int64_t>(column.size()));
    hasher.add(std::as_bytes(column.all()));
  };
  add(columns_.records);
  add(columns_.ids);
  add(columns_.targets);
  add(columns_.where);
  return hasher.text();
}

DatasetFacts facts_of(Dataset const& data) {
  return {data.smallest_id(), data.largest_id(), content_hash(data), data.files_hash()};
}

Dataset map_dataset(fs::path const& folder, std::string const& name, DatasetFacts const& facts) {
  Dataset data;
  data.columns_ = Dataset::mapped_columns(folder, name);
  if (data.files_hash() != facts.files_hash) {
    throw Error(Exit::data, (folder / name).string() + ": is damaged");
  }
  for (Dataset::Record const& record : data.columns_.records.all()) {
    data.tokens_ += record.length;
    data.targets_ += record.targets;
  }
  data.smallest_id_ = facts.smallest_id;
  data.largest_id_ = facts.largest_id;
  data.content_hash_ = facts.content_hash;
  return data;
}

}  // namespace lomo

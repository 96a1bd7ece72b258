#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace lomo {

/// The path without ".gz" at its end, by which what is in a file is told.
std::filesystem::path without_gz(std::filesystem::path const& file);

/// The bytes of a file from its start to its end, decompressed where they begin as gzip does,
/// whatever the file is called. Throws Error(Exit::data) naming the file when it is not there, is a
/// folder, cannot be read, is damaged or cut off, or holds tables or an archive (Parquet, zip, zstd
/// and the like), with the way to convert it.
class Bytes {
 public:
  explicit Bytes(std::filesystem::path const& file);
  ~Bytes();
  Bytes(Bytes const&) = delete;
  Bytes& operator=(Bytes const&) = delete;

  /// Some more bytes, valid until the next call; none at the end.
  std::string_view next();
  /// Whether what was read is gzipped.
  bool compressed() const { return inflater_ != nullptr; }
  /// Of the file as it is on disk, read so far, and all of it (0: not known, as of a pipe).
  std::uint64_t taken() const { return taken_; }
  double size() const { return size_; }

 private:
  struct Inflater;
  std::string_view read();
  std::string_view decompressed(Inflater& gzip);
  void refuse_foreign(std::string_view start) const;

  std::filesystem::path file_;
  int descriptor_ = -1;
  std::uint64_t taken_ = 0;
  double size_ = 0;
  std::vector<char> raw_;
  std::unique_ptr<Inflater> inflater_;  // of a gzip file
};

}  // namespace lomo

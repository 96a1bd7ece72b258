#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

#include "lomo/core/error.h"

namespace lomo {

/// A whole file of at most `largest` bytes. Errors carry `exit` and the system's reason.
std::string read_file(std::filesystem::path const& file, Exit exit,
                      std::size_t largest = std::size_t{1} << 40);

/// A file open for reading at any offset; knows its size at opening. Move-only.
class InputFile {
 public:
  InputFile(std::filesystem::path const& path, Exit exit);
  InputFile(InputFile&& other) noexcept;
  InputFile(InputFile const&) = delete;  // owns a file descriptor
  InputFile& operator=(InputFile const&) = delete;
  ~InputFile();

  std::filesystem::path const& path() const { return path_; }
  std::uint64_t size() const { return size_; }
  /// Fills `into` from `offset`. A file that became shorter meanwhile is an error.
  void read(std::uint64_t offset, std::span<std::byte> into) const;

 private:
  std::filesystem::path path_;
  Exit exit_;
  int descriptor_ = -1;
  std::uint64_t size_ = 0;
};

/// A file mapped for reading, whole. A file that becomes shorter while it is mapped ends the
/// process when the missing part is read. Move-only.
class MappedFile {
 public:
  MappedFile(std::filesystem::path const& path, Exit exit);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile(MappedFile const&) = delete;  // owns a mapping
  MappedFile& operator=(MappedFile const&) = delete;
  ~MappedFile();
  std::span<std::byte const> bytes() const { return {bytes_, size_}; }

 private:
  std::byte const* bytes_ = nullptr;
  std::size_t size_ = 0;
};

/// Writes a file under a temporary name beside its own; `commit` makes it appear, whole and on
/// disk, under its name. Without a commit the temporary file is removed. A write that fails (disk
/// full) is an Error with the path and the system's reason.
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path const& path);
  AtomicFile(AtomicFile const&) = delete;  // owns a file descriptor and a temporary file
  AtomicFile& operator=(AtomicFile const&) = delete;
  ~AtomicFile();

  void write(std::span<std::byte const> bytes);
  void write(std::string_view text);
  std::uint64_t written() const { return written_; }
  /// Flushes to disk, renames, and flushes the folder.
  void commit();

 private:
  [[noreturn]] void fail(char const* doing) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  std::uint64_t written_ = 0;
};

/// A file that several processes write together, each the places that are its own, under a
/// temporary name beside its own until `commit`. One process calls `create` first and `commit`
/// last; between them all write. An uncommitted file is removed with the object that created it. A
/// write that fails is an Error with the path and the system's reason.
class SharedFile {
 public:
  explicit SharedFile(std::filesystem::path const& path);
  SharedFile(SharedFile const&) = delete;  // owns a file descriptor and a temporary file
  SharedFile& operator=(SharedFile const&) = delete;
  ~SharedFile();

  /// Of so many bytes, all of them zero.
  void create(std::uint64_t size);
  void write(std::uint64_t offset, std::span<std::byte const> bytes);
  /// What this process wrote is on disk, and it writes no more.
  void finish();
  /// The file appears under its name.
  void commit();

 private:
  void open(int flags);
  [[noreturn]] void fail(char const* doing) const;

  std::filesystem::path path_;
  std::filesystem::path temporary_;
  int descriptor_ = -1;
  bool created_ = false;  // by this object, and not committed
};

/// Replaces `file` with `text` in one step.
void write_file(std::filesystem::path const& file, std::string_view text);
/// Makes renames and removals inside `folder` survive a power cut.
void sync_folder(std::filesystem::path const& folder);

}  // namespace lomo

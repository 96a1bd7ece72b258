#include "lomo/io/files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "lomo/core/text.h"

namespace lomo {
namespace {

[[noreturn]] void fail_with(Exit exit, char const* doing, std::filesystem::path const& path,
                            int reason) {
  throw Error(exit,
              std::string("cannot ") + doing + " " + path.string() + ": " + std::strerror(reason));
}

struct OpenFile {
  int descriptor;
  std::uint64_t size;
};

/// For reading; only what has a size and can be read at any place.
OpenFile open_regular(std::filesystem::path const& path, Exit exit) {
  // O_NONBLOCK: a pipe under this name is refused below instead of waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) fail_with(exit, "open", path, errno);
  struct stat status {};
  if (::fstat(descriptor, &status) != 0 || !S_ISREG(status.st_mode)) {
    const int reason = S_ISDIR(status.st_mode) ? EISDIR : EINVAL;
    ::close(descriptor);
    fail_with(exit, "read", path, reason);
  }
  return {descriptor, static_cast<std::uint64_t>(status.st_size)};
}

}  // namespace

InputFile::InputFile(std::filesystem::path const& path, Exit exit) : path_(path), exit_(exit) {
  const OpenFile file = open_regular(path, exit);
  descriptor_ = file.descriptor;
  size_ = file.size;
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      exit_(other.exit_),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  while (!into.empty()) {
    const ssize_t got = ::pread(descriptor_, into.data(), into.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail_with(exit_, "read", path_, errno);
    if (got == 0) {
      throw Error(exit_, path_.string() + " ends at byte " + std::to_string(offset) +
                             " where more was expected; copy or download it again");
    }
    into = into.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
}

std::string read_file(std::filesystem::path const& file, Exit exit, std::size_t largest) {
  const InputFile input(file, exit);
  if (input.size() > largest) {
    throw Error(exit, file.string() + " has " +
                          counted(static_cast<std::int64_t>(input.size()), "byte") +
                          "; no more than " + human_bytes(largest) + " are read");
  }
  std::string text(input.size(), '\0');
  input.read(0, std::as_writable_bytes(std::span(text)));
  return text;
}

MappedFile::MappedFile(std::filesystem::path const& path, Exit exit) {
  const OpenFile file = open_regular(path, exit);
  size_ = file.size;
  int reason = 0;
  if (size_ > 0) {  // an empty file cannot be mapped
    void* const at = ::mmap(nullptr, size_, PROT_READ, MAP_SHARED, file.descriptor, 0);
    if (at == MAP_FAILED) {
      reason = errno;
    } else {
      bytes_ = static_cast<std::byte const*>(at);
    }
  }
  ::close(file.descriptor);
  if (reason != 0) fail_with(exit, "map", path, reason);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile::~MappedFile() {
  if (bytes_ != nullptr) ::munmap(const_cast<std::byte*>(bytes_), size_);
}

AtomicFile::AtomicFile(std::filesystem::path const& path) : path_(path) {
  // The process and a counter tell ranks and threads that write the same name apart.
  static std::atomic<unsigned> made{0};
  temporary_ = path;
  temporary_ += ".part-" + std::to_string(::getpid()) + "-" + std::to_string(made++);
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("create");
}

AtomicFile::~AtomicFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
}

void AtomicFile::fail(char const* doing) const {
  fail_with(Exit::failure, doing, path_, errno);
}

void AtomicFile::write(std::span<std::byte const> bytes) {
  while (!bytes.empty()) {
    const ssize_t put = ::write(descriptor_, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    written_ += static_cast<std::uint64_t>(put);
  }
}

void AtomicFile::write(std::string_view text) {
  write(std::as_bytes(std::span(text)));
}

void AtomicFile::commit() {
  if (::fsync(descriptor_) != 0) fail("flush");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("close");
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename a file to");
  temporary_.clear();
  const std::filesystem::path folder = path_.parent_path();
  sync_folder(folder.empty() ? "." : folder);
}

SharedFile::SharedFile(std::filesystem::path const& path) : path_(path), temporary_(path) {
  temporary_ += ".part";  // the same for all who write it
}

SharedFile::~SharedFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
  if (created_) ::unlink(temporary_.c_str());
}

void SharedFile::fail(char const* doing) const {
  fail_with(Exit::failure, doing, path_, errno);
}

void SharedFile::open(int flags) {
  descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CLOEXEC | flags, 0666);
  if (descriptor_ < 0) fail("create");
}

void SharedFile::create(std::uint64_t size) {
  open(O_CREAT | O_TRUNC);
  created_ = true;
  if (::ftruncate(descriptor_, static_cast<off_t>(size)) != 0) fail("write");
}

void SharedFile::write(std::uint64_t offset, std::span<std::byte const> bytes) {
  if (descriptor_ < 0) open(0);
  while (!bytes.empty()) {
    const ssize_t put =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) fail("write");
    bytes = bytes.subspan(static_cast<std::size_t>(put));
    offset += static_cast<std::uint64_t>(put);
  }
}

void SharedFile::finish() {
  if (descriptor_ < 0) return;
  if (::fsync(descriptor_) != 0) fail("flush");
  if (::close(std::exchange(descriptor_, -1)) != 0) fail("close");
}

void SharedFile::commit() {
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail("rename a file to");
  created_ = false;
  const std::filesystem::path folder = path_.parent_path();
  sync_folder(folder.empty() ? "." : folder);
}

void write_file(std::filesystem::path const& file, std::string_view text) {
  AtomicFile out(file);
  out.write(text);
  out.commit();
}

void sync_folder(std::filesystem::path const& folder) {
  const int descriptor = ::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (descriptor < 0) fail_with(Exit::failure, "open", folder, errno);
  const int result = ::fsync(descriptor);
  const int reason = errno;
  ::close(descriptor);
  // Some network file systems cannot flush a folder; their renames are durable by themselves.
  if (result != 0 && reason != EINVAL) fail_with(Exit::failure, "flush", folder, reason);
}

}  // namespace lomo

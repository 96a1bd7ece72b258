#include "lomo/io/lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

std::optional<FileLock> FileLock::try_take(std::filesystem::path const& file) {
  // O_CLOEXEC: a child process must not keep the lock alive.
  FileLock lock(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666));
  if (lock.descriptor_ < 0) {
    throw Error(Exit::usage, "cannot write " + file.string() + ": " + std::strerror(errno));
  }
  while (::flock(lock.descriptor_, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return std::nullopt;
    // A file system without locks cannot protect the folder; that is no reason not to train.
    if (errno != EINTR) break;
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

}  // namespace lomo

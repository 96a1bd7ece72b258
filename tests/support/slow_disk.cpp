#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>

/// Loaded before a program (LD_PRELOAD), it makes the program's disk slow: every write to a file,
/// every flush and every rename takes LOMO_TEST_DISK_US microseconds longer.
namespace {

void wait() {
  static const int microseconds = [] {
    char const* text = std::getenv("LOMO_TEST_DISK_US");
    return text == nullptr ? 0 : std::atoi(text);
  }();
  std::this_thread::sleep_for(std::chrono::microseconds(microseconds));
}

bool is_file(int descriptor) {
  struct stat status {};
  return fstat(descriptor, &status) == 0 && (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode));
}

template <class F>
F* real(char const* name) {
  return reinterpret_cast<F*>(dlsym(RTLD_NEXT, name));
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, void const* bytes, size_t count) {
  static auto* const next = real<ssize_t(int, void const*, size_t)>("write");
  if (is_file(descriptor)) wait();
  return next(descriptor, bytes, count);
}

ssize_t pwrite(int descriptor, void const* bytes, size_t count, off_t offset) {
  static auto* const next = real<ssize_t(int, void const*, size_t, off_t)>("pwrite");
  wait();
  return next(descriptor, bytes, count, offset);
}

int fsync(int descriptor) {
  static auto* const next = real<int(int)>("fsync");
  if (is_file(descriptor)) wait();
  return next(descriptor);
}

int rename(char const* from, char const* to) noexcept {
  static auto* const next = real<int(char const*, char const*)>("rename");
  wait();
  return next(from, to);
}

}  // extern "C"

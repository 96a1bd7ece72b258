#include "lomo/core/console.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>

#include "lomo/core/error.h"

namespace lomo::console {

namespace {

constexpr std::string_view kErase = "\r\033[K";

std::optional<bool> g_draws;  // known once it was asked
std::string g_status;         // the line that is to be seen

void put(std::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fflush(stderr);
}

/// 0, or what write() failed with.
int write_out(std::string_view text) {
  // What was printed by other means comes first, and may have been lost.
  if (std::fflush(stdout) != 0) return errno;
  if (std::ferror(stdout) != 0) return EIO;
  while (!text.empty()) {
    const ssize_t put = ::write(STDOUT_FILENO, text.data(), text.size());
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(put));
  }
  return 0;
}

[[noreturn]] void refuse(int reason) {
  throw Error("what was to be printed is lost, stdout cannot be written: " +
              std::string(std::strerror(reason)));
}

}  // namespace

void hold_closed_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0) continue;
    // It takes the lowest number that is free, which is this one. Stdout cannot be written then.
    if (::open("/dev/null", stream == STDERR_FILENO ? O_WRONLY : O_RDONLY) != stream) return;
  }
}

void print(std::string_view text) {
  if (const int reason = write_out(text); reason != 0) refuse(reason);
}

bool print_while_read(std::string_view text) {
  const int reason = write_out(text);
  if (reason != 0 && reason != EPIPE) refuse(reason);
  return reason == 0;
}

bool can_draw() {
  if (!g_draws) {
    char const* const term = std::getenv("TERM");
    const std::string_view name = term == nullptr ? "" : term;
    g_draws = isatty(STDERR_FILENO) == 1 && !name.empty() && name != "dumb";
  }
  return *g_draws;
}

void never_draw() {
  g_draws = false;
}

int columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

void status(std::string_view line) {
  if (!can_draw() || (line.empty() && g_status.empty())) return;
  // A line that fills the last column would make the terminal begin another.
  g_status = line.substr(0, static_cast<std::size_t>(columns() - 1));
  put(std::string(kErase) + g_status);
}

void hide_status() {
  if (!g_status.empty()) put(kErase);
}

void show_status() {
  if (!g_status.empty()) put(g_status);
}

}  // namespace lomo::console

#include "stop.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

namespace lomo::app {

namespace {

constexpr int kInterrupted = 130;
volatile sig_atomic_t g_requested = 0;
volatile sig_atomic_t g_interrupts = 0;
volatile sig_atomic_t g_terminations = 0;
volatile sig_atomic_t g_speak = 1;

// Only what POSIX allows in a signal handler.
void on_signal(int signal) {
  if (signal == SIGINT) {
    g_interrupts = g_interrupts + 1;
    if (g_interrupts > 1) _exit(kInterrupted);
  }
  if (signal == SIGTERM) g_terminations = g_terminations + 1;
  if (g_requested != 0) return;
  g_requested = 1;
  if (g_speak == 0) return;
  constexpr std::string_view kNotice =
      "\nfinishing the step, then saving; Ctrl-C once more to stop at once\n";
  const int reason = errno;
  if (write(STDERR_FILENO, kNotice.data(), kNotice.size()) < 0) errno = reason;
}

void listen(int signal) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void listen_for_stop(bool speak) {
  g_speak = speak ? 1 : 0;
  for (const int asked : {SIGINT, SIGTERM, SIGUSR1}) listen(asked);
  struct sigaction before {};
  if (sigaction(SIGHUP, nullptr, &before) == 0 && before.sa_handler != SIG_IGN) listen(SIGHUP);
  signal(SIGPIPE, SIG_IGN);
}

bool stop_requested() {
  return g_requested != 0;
}

int terminations() {
  return g_terminations;
}

}  // namespace lomo::app

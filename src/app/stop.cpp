#include "stop.h"

#include <signal.h>
#include <unistd.h>

#include <string_view>

namespace lomo::app {

namespace {

constexpr int kInterrupted = 130;
volatile sig_atomic_t g_requests = 0;

// Only what POSIX allows in a signal handler.
void on_signal(int) {
  g_requests = g_requests + 1;
  if (g_requests > 1) _exit(kInterrupted);
  constexpr std::string_view kNotice =
      "\nfinishing the step, then saving; once more to stop at once\n";
  if (write(STDERR_FILENO, kNotice.data(), kNotice.size()) < 0) return;
}

}  // namespace

void listen_for_stop() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool stop_requested() {
  return g_requests > 0;
}

}  // namespace lomo::app

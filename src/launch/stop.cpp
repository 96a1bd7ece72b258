#include "lomo/launch/stop.h"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>

#include "lomo/core/error.h"

namespace lomo::launch {

namespace {

constexpr int kInterrupted = 130;
constexpr std::array kRequests{SIGINT, SIGTERM, SIGUSR1, SIGHUP};

volatile sig_atomic_t g_deferred = 0;
volatile sig_atomic_t g_requested = 0;
volatile sig_atomic_t g_terminations = 0;
volatile sig_atomic_t g_interruptible = 0;
volatile sig_atomic_t g_interrupted = 0;
std::atomic<StopVoice> g_voice = StopVoice::silent;
std::atomic<char const*> g_words = "stopped";
static_assert(std::atomic<StopVoice>::is_always_lock_free);
static_assert(std::atomic<char const*>::is_always_lock_free);

void say(char const* words) {
  for (char const* part : {"\n", words, "\n"}) {
    if (write(STDERR_FILENO, part, std::strlen(part)) < 0) return;
  }
}

// Only what POSIX allows in a signal handler.
void on_signal(int signal) {
  const int reason = errno;
  if (signal == SIGTERM) g_terminations = g_terminations + 1;
  if (signal == SIGINT && g_interruptible != 0 && g_interrupted == 0) {
    g_interrupted = 1;
    return;
  }
  if (g_requested != 0) {
    if (signal == SIGINT) _exit(kInterrupted);
    errno = reason;
    return;
  }
  g_requested = 1;
  if (g_deferred == 0) {
    // SIGTERM is also how a launcher ends the ranks that are left when one has failed.
    const bool asked = g_voice == StopVoice::leader && signal != SIGTERM;
    if (g_voice == StopVoice::alone || asked) say(g_words);
    _exit(static_cast<int>(Exit::stopped));
  }
  if (g_voice == StopVoice::alone) {
    say("finishing the step, then saving; Ctrl-C once more to stop at once");
  }
  errno = reason;
}

sigset_t requests() {
  sigset_t set;
  sigemptyset(&set);
  for (const int signal : kRequests) sigaddset(&set, signal);
  return set;
}

void listen(int signal) {
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_mask = requests();  // of several at once the first is handled first
  action.sa_flags = SA_RESTART;
  sigaction(signal, &action, nullptr);
}

}  // namespace

void listen_for_stop() {
  for (const int signal : kRequests) {
    struct sigaction before {};
    const bool known = sigaction(signal, nullptr, &before) == 0;
    if (signal == SIGHUP && known && before.sa_handler == SIG_IGN) continue;
    listen(signal);
  }
  ::signal(SIGPIPE, SIG_IGN);
  const sigset_t held = requests();
  sigprocmask(SIG_UNBLOCK, &held, nullptr);
}

void hold_stops() {
  const sigset_t held = requests();
  sigprocmask(SIG_BLOCK, &held, nullptr);
}

void defer_stops() {
  g_deferred = 1;
}

bool stop_requested() {
  return g_requested != 0;
}

void speak_on_stop(StopVoice voice) {
  g_voice = voice;
}

void say_on_stop(char const* words) {
  g_words = words;
}

Interruptible::Interruptible() {
  g_interrupted = 0;
  g_interruptible = 1;
}

Interruptible::~Interruptible() {
  g_interruptible = 0;
}

bool Interruptible::interrupted() {
  return g_interrupted != 0;
}

int terminations() {
  return g_terminations;
}

}  // namespace lomo::launch

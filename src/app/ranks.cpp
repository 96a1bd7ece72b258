#include "ranks.h"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/hash.h"
#include "stop.h"
#include "wait_policy.h"

namespace lomo::app {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWindow{2000};  // ranks that fail alike come within it
constexpr milliseconds kTurn{300};     // a launcher ends the others faster than that
constexpr milliseconds kLastTurn{5000};

struct Ending {
  int code = 0;
  std::string words;
};

Ending ending_of(std::exception_ptr const& failure) {
  try {
    std::rethrow_exception(failure);
  } catch (Error const& e) {
    return {static_cast<int>(e.code()), e.what()};
  } catch (std::bad_alloc const&) {
    return {static_cast<int>(Exit::memory), "the machine has no memory left for this process"};
  } catch (std::exception const& e) {
    return {static_cast<int>(Exit::failure), e.what()};
  }
}

std::string name_of(Ranks const& ranks) {
  return "rank " + std::to_string(ranks.rank());
}

void print(Ranks const& ranks, bool with_rank, Ending const& ending) {
  const std::string who = with_rank ? name_of(ranks) + ": " : "";
  std::fprintf(stderr, "error: %s%s\n", who.c_str(), ending.words.c_str());
  std::fflush(stderr);
}

/// Waits while a rank with a lower number may be ending the job, and then ends without a word.
void let_lower_ranks_speak(Ranks const& ranks, int code) {
  const int before = terminations();
  const auto until = std::chrono::steady_clock::now() + std::min(kTurn * ranks.rank(), kLastTurn);
  while (std::chrono::steady_clock::now() < until) {
    if (terminations() != before) std::_Exit(code);
    std::this_thread::sleep_for(milliseconds(5));
  }
}

}  // namespace

int threads_of_rank(Ranks& ranks) {
  struct Allowed {
    cpu_set_t processors;
    std::int64_t machine;
  };
  Allowed mine{};
  if (sched_getaffinity(0, sizeof mine.processors, &mine.processors) != 0) return 1;
  mine.machine = ranks.machine();
  const std::vector<Allowed> all = ranks.host().all_gather_host(mine);
  double share = 0;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mine.processors)) continue;
    share += 1.0 / static_cast<double>(std::ranges::count_if(all, [&](Allowed const& other) {
               return other.machine == mine.machine && CPU_ISSET(cpu, &other.processors);
             }));
  }
  return std::max(1, static_cast<int>(share + 1e-6));
}

void start_log(std::string const& level, Ranks const& ranks) {
  if (ranks.rank() == 0) return log::start(level);
  log::start(level == "error" ? level : "warn", name_of(ranks) + ": ");
}

std::string note_on_stopping() {
  if (std::getenv("OMPI_COMM_WORLD_SIZE") == nullptr) return "";
  if (std::getenv("LOMO_CTRL_C_SAVES") != nullptr) return "";
  std::string launcher = "PID, that of mpirun";
  std::string name;
  std::ifstream("/proc/" + std::to_string(getppid()) + "/comm") >> name;
  if (name == "mpirun" || name == "mpiexec" || name == "orterun")
    launcher = std::to_string(getppid());
  return "after Ctrl-C or SIGTERM mpirun kills its ranks within seconds. To save and stop: kill "
         "-USR1 " +
         launcher + ". scripts/mpirun.sh does that on Ctrl-C";
}

int LastWords::say(std::exception_ptr const& failure) {
  if (code_) return *code_;
  const Ending ending = ending_of(failure);
  code_ = ending.code;
  Hasher hasher;
  hasher.add(ending.words);
  const Ranks::Failure mine{ending.code, hasher.value()};
  const std::vector<Ranks::Failure> all = ranks_.failures(mine, kWindow);
  const auto first = std::ranges::find(all, mine) - all.begin();
  const bool together =
      std::ranges::none_of(all, [](Ranks::Failure const& other) { return other.code == 0; });
  const bool alike = std::ranges::count(all, mine) == static_cast<std::ptrdiff_t>(all.size());
  if (together) {
    if (first == ranks_.rank()) print(ranks_, !alike, ending);
    return ending.code;
  }
  // Ranks that miss the same one notice it at about the same time.
  if (ending.code == static_cast<int>(Exit::communication) || first < ranks_.rank()) {
    let_lower_ranks_speak(ranks_, ending.code);
  }
  print(ranks_, true, ending);
  ranks_.abort(ending.code);
}

int run_as_rank(char** argv, std::function<int(Ranks&, LastWords&)> const& program) {
  settle_wait_policy(argv);
  signal(SIGXFSZ, SIG_IGN);  // a file above the system's limit is a failed write, as on a full disk
  std::unique_ptr<Ranks> ranks;
  try {
    ranks = started_as_rank() ? make_mpi_ranks() : make_single_rank();
  } catch (Error const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(e.code());
  }
  LastWords last_words(*ranks);
  try {
    return program(*ranks, last_words);
  } catch (...) {
    return last_words.say(std::current_exception());
  }
}

}  // namespace lomo::app

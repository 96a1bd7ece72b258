#include "lomo/launch/error_reporter.h"

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
#include <string_view>
#include <thread>
#include <vector>

#include "lomo/backend/plugin.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/hash.h"
#include "lomo/launch/stop.h"
#include "wait_policy.h"

namespace lomo::launch {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kWindow{2000};  // ranks that fail alike come within it
constexpr milliseconds kTurn{300};     // a launcher ends the others faster than that
constexpr milliseconds kLastTurn{5000};

struct Ending {
  int code = 0;
  std::string message_hash;
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

std::string name_of(ProcessGroup const& process_group) {
  return "rank " + std::to_string(process_group.rank());
}

void print(ProcessGroup const& process_group, bool with_rank, Ending const& ending) {
  const std::string who = with_rank ? name_of(process_group) + ": " : "";
  std::fprintf(stderr, "error: %s%s\n", who.c_str(), ending.message_hash.c_str());
  std::fflush(stderr);
}

/// A liblomo.so of other sources (an update while a program is built, a search path of libraries)
/// has other ideas of what lies where in memory: nothing of it but its name may be used.
bool has_own_library() {
  if (std::string_view(build_id()) == LOMO_BUILD_ID) return true;
  std::fprintf(
      stderr,
      "error: liblomo.so was built from other sources: it is %s, this program " LOMO_BUILD_ID
      "; build or install both together, and look at LD_LIBRARY_PATH\n",
      build_id());
  return false;
}

/// Waits while a rank with a lower number may be ending the job, and then ends without a word.
void let_lower_ranks_speak(ProcessGroup const& process_group, int code) {
  const int before = terminations();
  const auto until =
      std::chrono::steady_clock::now() + std::min(kTurn * process_group.rank(), kLastTurn);
  while (std::chrono::steady_clock::now() < until) {
    if (terminations() != before) std::_Exit(code);
    std::this_thread::sleep_for(milliseconds(5));
  }
}

}  // namespace

int threads_of_rank(ProcessGroup& process_group) {
  struct Allowed {
    cpu_set_t processors;
    std::int64_t machine;
  };
  Allowed mine{};
  if (sched_getaffinity(0, sizeof mine.processors, &mine.processors) != 0) return 1;
  mine.machine = process_group.machine();
  const std::vector<Allowed> all = process_group.host().all_gather_host(mine);
  double share = 0;
  for (std::size_t cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &mine.processors)) continue;
    share += 1.0 / static_cast<double>(std::ranges::count_if(all, [&](Allowed const& other) {
               return other.machine == mine.machine && CPU_ISSET(cpu, &other.processors);
             }));
  }
  return std::max(1, static_cast<int>(share + 1e-6));
}

void start_log(std::string const& level, ProcessGroup const& process_group) {
  if (process_group.rank() == 0) return log::start(level);
  console::never_draw();
  log::start(level == "error" ? level : "warn", name_of(process_group) + ": ");
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

int ErrorReporter::report(std::exception_ptr const& failure) {
  if (code_) return *code_;
  defer_stops();  // a launcher that ends the others must not change the code
  const Ending ending = ending_of(failure);
  code_ = ending.code;
  Hasher hasher;
  hasher.add(ending.message_hash);
  const ProcessGroup::Failure mine{ending.code, hasher.value()};
  const std::vector<ProcessGroup::Failure> all = process_group_.failures(mine, kWindow);
  const auto first = std::ranges::find(all, mine) - all.begin();
  const bool together =
      std::ranges::none_of(all, [](ProcessGroup::Failure const& other) { return other.code == 0; });
  const bool alike = std::ranges::count(all, mine) == static_cast<std::ptrdiff_t>(all.size());
  if (together) {
    if (first == process_group_.rank()) print(process_group_, !alike, ending);
    return ending.code;
  }
  // Ranks that miss the same one notice it at about the same time.
  if (ending.code == static_cast<int>(Exit::communication) || first < process_group_.rank()) {
    let_lower_ranks_speak(process_group_, ending.code);
  }
  print(process_group_, true, ending);
  process_group_.abort(ending.code);
}

int run_as_rank(char** argv, std::function<int(ProcessGroup&, ErrorReporter&)> const& program) {
  if (!has_own_library()) return static_cast<int>(Exit::usage);
  console::hold_closed_streams();
  listen_for_stop();
  set_wait_policy(argv);
  signal(SIGXFSZ, SIG_IGN);  // a file above the system's limit is a failed write, as on a full disk
  std::unique_ptr<ProcessGroup> process_group;
  try {
    process_group = started_as_rank() ? make_mpi_process_group() : make_single_rank();
  } catch (...) {
    const Ending ending = ending_of(std::current_exception());
    std::fprintf(stderr, "error: %s\n", ending.message_hash.c_str());
    return ending.code;
  }
  speak_on_stop(process_group->size() == 1   ? StopVoice::alone
                : process_group->rank() == 0 ? StopVoice::leader
                                             : StopVoice::silent);
  ErrorReporter error_reporter(*process_group);
  try {
    const int code = program(*process_group, error_reporter);
    if (code == 0) console::print("");  // what was printed on the way may have been lost
    return code;
  } catch (...) {
    return error_reporter.report(std::current_exception());
  }
}

}  // namespace lomo::launch

#pragma once
#include <exception>
#include <functional>
#include <optional>
#include <string>

#include "lomo/backend/process_group.h"

namespace lomo::app {

/// One console: rank 0 says everything, the others' warnings and errors come with their rank.
void start_log(std::string const& level, ProcessGroup const& process_group);

/// Threads for this rank: of each processor that it may use, its share among the ranks of this
/// machine that may use it too.
int threads_of_rank(ProcessGroup& process_group);

/// How to ask for the end where Ctrl-C does not leave the time to save: under an mpirun that
/// scripts/mpirun.sh did not start. Elsewhere empty.
std::string note_on_stopping();

/// What this process says when it cannot go on.
class ErrorReporter {
 public:
  explicit ErrorReporter(ProcessGroup& process_group) : process_group_(process_group) {}

  /// Returns the exit code. Of ranks that all fail, those that fail alike speak with one voice.
  /// When others go on, and would wait for this one for ever, all are ended with that code. To be
  /// called while memory that is being exchanged still exists; what was said is not said again.
  int report(std::exception_ptr const& failure);

 private:
  ProcessGroup& process_group_;
  std::optional<int> code_;  // once it is said
};

/// What `main` does: joins the ranks that a launcher started, or is the only one (MPI is
/// initialised only under a launcher), and runs the program. Returns the exit code, and says why
/// where the program threw.
int run_as_rank(char** argv, std::function<int(ProcessGroup&, ErrorReporter&)> const& program);

}  // namespace lomo::app

#pragma once
#include <exception>
#include <functional>
#include <optional>
#include <string>

#include "lomo/backend/process_group.h"

namespace lomo::launch {

/// One console: rank 0 says everything, the others' warnings and errors come with their rank.
void start_log(std::string const& level, ProcessGroup const& process_group);

/// Threads for this rank: of each processor that it may use, its share among the ranks of this
/// machine that may use it too.
int threads_of_rank(ProcessGroup& process_group);

/// How to ask for the end where Ctrl-C does not leave the time to save: under an mpirun that
/// scripts/mpirun.sh did not start. Elsewhere empty.
std::string note_on_stopping();

/// Reports why this process ends with an error, once.
class ErrorReporter {
 public:
  explicit ErrorReporter(ProcessGroup& process_group) : process_group_(process_group) {}

  /// Logs the error and returns the exit code. If all ranks fail, identical errors are printed
  /// once, by the lowest of them. If others still run, the job is aborted with this code. Call it
  /// while memory that is being exchanged still exists. Idempotent.
  int report(std::exception_ptr const& failure);

 private:
  ProcessGroup& process_group_;
  std::optional<int> code_;  // once it is said
};

/// What `main` does: joins the ranks that a launcher started, or is the only one (MPI is
/// initialised only under a launcher), and runs the program. Returns the exit code, and says why
/// where the program threw.
int run_as_rank(char** argv, std::function<int(ProcessGroup&, ErrorReporter&)> const& program);

}  // namespace lomo::launch

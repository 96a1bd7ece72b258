#pragma once
#include <stdexcept>
#include <string>

namespace lomo {

/// What went wrong, as the process's exit code tells it.
enum class Exit : int {
  done = 0,
  failure = 1,        ///< anything not below
  usage = 2,          ///< command line or config
  memory = 3,         ///< does not fit in memory
  data = 4,           ///< data or checkpoint
  diverged = 5,       ///< training diverged
  communication = 6,  ///< ranks lost each other
  stopped = 7,        ///< stopped on request after saving
};

/// The one exception of the project. The message names the file, line, key or op and says what to
/// do; the code is the exit status of the process when nobody handles it.
class Error : public std::runtime_error {
 public:
  Error(Exit code, std::string const& message) : std::runtime_error(message), code_(code) {}
  explicit Error(std::string const& message) : Error(Exit::failure, message) {}
  Exit code() const noexcept { return code_; }

 private:
  Exit code_;
};

}  // namespace lomo

#pragma once
#include <string>

#include "lomo/backend/process_group.h"
#include "lomo/launch/error_reporter.h"

namespace lomo::launch {

/// This process among its ranks, and what every command line says of it.
struct Process {
  ProcessGroup& ranks;
  ErrorReporter& error_reporter;
  std::string device = "auto";
  int threads = 0;  // of this rank
  bool threads_given = false;
  std::string log_level = "info";
};

}  // namespace lomo::launch

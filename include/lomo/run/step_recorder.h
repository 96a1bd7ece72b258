#pragma once
#include <cstdint>
#include <filesystem>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/event_log.h"
#include "lomo/backend/process_group.h"

namespace lomo {

/// What --trace asks for.
struct TraceRequest {
  std::filesystem::path file;        // empty: nothing
  std::int64_t first = 2, last = 3;  // steps of this process, counted from 1
};

/// A step of one rank, as its host saw it.
struct RecordedStep {
  std::int64_t number = 0;  // of the run
  EventLog::Time begin, end;
};

/// Records when the operations and exchanges of some steps ran on the streams of every rank, and
/// writes all of it into one file that chrome://tracing and ui.perfetto.dev open: a process for
/// each rank, a thread for each of its streams, an event for each operation in the order in which
/// the host issued them, with flops, bytes and the moment it was issued. Without a request it does
/// nothing. Must outlive the engine.
///
/// All calls are collective.
class StepRecorder {
 public:
  /// Throws Error(Exit::usage) where request.file cannot be a file.
  StepRecorder(TraceRequest request, ProcessGroup& process_group);
  /// Around each step of this process, which is number `number` of the run. After the last one that
  /// was asked for the file is written; a disk that does not take it is an error in the log and no
  /// more.
  void before(Backend& backend, std::int64_t number);
  void after(Backend& backend);
  /// At the end of the run: writes what there is, or says why there is nothing.
  void finish();

 private:
  bool records() const;
  void agree_on_the_time();
  void write();
  void write_file();

  TraceRequest request_;
  ProcessGroup& process_group_;
  std::int64_t step_ = 0;  // of this process, now or next
  EventLog log_;
  std::vector<RecordedStep> steps_;
  EventLog::Time origin_;  // the same moment on all ranks
  bool written_ = false;
};

}  // namespace lomo

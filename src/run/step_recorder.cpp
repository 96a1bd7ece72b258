#include "lomo/run/step_recorder.h"

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include "chrome_trace.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;  // of each rank's text, at one time

double seconds(EventLog::Time begin, EventLog::Time end) {
  return std::chrono::duration<double>(end - begin).count();
}

/// What rank 0's compute stream did in the steps, for the log.
std::string summary(std::vector<RecordedStep> const& steps, EventLog const& log) {
  double all = 0, computing = 0, waiting = 0;
  for (RecordedStep const& step : steps) all += seconds(step.begin, step.end);
  for (EventLog::Event const& event : log.events()) {
    if (event.track != Track::compute || !event.timed()) continue;
    (event.waits() ? waiting : computing) += seconds(event.begin, event.end);
  }
  const auto percent = [all](double part) {
    return std::to_string(static_cast<int>(100 * part / all + 0.5)) + " %";
  };
  std::string text = "rank 0 computed " + percent(computing) + " of the time";
  if (waiting > 0) text += " and waited " + percent(waiting);
  return text;
}

}  // namespace

StepRecorder::StepRecorder(TraceRequest request, ProcessGroup& process_group)
    : request_(std::move(request)), process_group_(process_group) {
  if (request_.file.empty()) return;
  on_root(process_group_.host(), [&] {
    std::error_code error;
    const fs::path folder = fs::absolute(request_.file).parent_path();
    if (fs::is_directory(request_.file, error)) {
      throw Error(Exit::usage, "--trace " + request_.file.string() +
                                   ": this is a folder; name a "
                                   "file, as in trace.json");
    }
    if (!fs::is_directory(folder, error)) {
      throw Error(Exit::usage,
                  "--trace " + request_.file.string() + ": there is no folder " + folder.string());
    }
  });
}

bool StepRecorder::records() const {
  return !request_.file.empty() && request_.first <= step_ && step_ <= request_.last;
}

void StepRecorder::before(Backend& backend, std::int64_t number) {
  step_ += 1;
  if (!records()) return;
  if (steps_.empty()) agree_on_the_time();
  backend.set_event_log(&log_);
  steps_.push_back({number, EventLog::Clock::now(), {}});
}

void StepRecorder::after(Backend& backend) {
  if (!records()) return;
  steps_.back().end = EventLog::Clock::now();
  // Exchanges that nobody waited for in the step are over when host collectives, which are sent
  // behind them, have passed.
  process_group_.host().barrier();
  backend.set_event_log(nullptr);
  if (step_ == request_.last) write();
}

/// Clocks of processes on one machine agree; on several they are set by a moment when all ranks go
/// on together.
void StepRecorder::agree_on_the_time() {
  process_group_.host().barrier();
  const std::vector<EventLog::Time> times =
      process_group_.host().all_gather_host(EventLog::Clock::now());
  origin_ = times[static_cast<std::size_t>(process_group_.machine())];
}

void StepRecorder::finish() {
  if (request_.file.empty() || written_) return;
  if (steps_.empty()) {
    return log::warn(
        "--trace: nothing was recorded, for step {} was not reached; see --trace-steps",
        request_.first);
  }
  write();
}

void StepRecorder::write() {
  written_ = true;
  try {
    write_file();
  } catch (std::exception const& error) {  // no reason to lose the run
    return log::error("cannot write the trace: {}", error.what());
  }
  log::info("trace of {} in {}; {}. Open it at https://ui.perfetto.dev",
            steps_.size() == 1 ? "step " + std::to_string(steps_.front().number)
                               : "steps " + std::to_string(steps_.front().number) + " to " +
                                     std::to_string(steps_.back().number),
            request_.file.string(), summary(steps_, log_));
}

void StepRecorder::write_file() {
  Communicator& host = process_group_.host();
  std::optional<AtomicFile> file;
  on_root(host, [&] {
    file.emplace(request_.file);
    file->write(chrome_trace::head(host.size()));
  });
  chrome_trace::Events events(host.rank(), origin_, steps_, log_);
  for (bool more = true; more;) {
    const std::vector<std::string> pieces = all_gather_strings(host, events.next(kPiece));
    on_root(host, [&] {
      for (std::string const& piece : pieces) file->write(piece);
    });
    more = std::ranges::any_of(pieces, [](std::string const& piece) { return !piece.empty(); });
  }
  on_root(host, [&] {
    file->write(chrome_trace::kTail);
    file->commit();
  });
}

}  // namespace lomo

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
#include "lomo/dist/words.h"
#include "lomo/io/files.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 20;  // of each rank's text, at one time

double seconds(Timeline::Time begin, Timeline::Time end) {
  return std::chrono::duration<double>(end - begin).count();
}

/// What rank 0's compute queue did in the steps, for the log.
std::string summary(std::vector<RecordedStep> const& steps, Timeline const& timeline) {
  double all = 0, computing = 0, waiting = 0;
  for (RecordedStep const& step : steps) all += seconds(step.begin, step.end);
  for (Timeline::Span const& span : timeline.spans()) {
    if (span.lane != Lane::compute || !span.known()) continue;
    (span.waits ? waiting : computing) += seconds(span.begin, span.end);
  }
  const auto percent = [all](double part) {
    return std::to_string(static_cast<int>(100 * part / all + 0.5)) + " %";
  };
  std::string text = "rank 0 computed " + percent(computing) + " of the time";
  if (waiting > 0) text += " and waited " + percent(waiting);
  return text;
}

}  // namespace

StepRecorder::StepRecorder(TraceRequest request, Ranks& ranks)
    : request_(std::move(request)), ranks_(ranks) {
  if (request_.file.empty()) return;
  only_rank_0(&ranks_.host(), [&] {
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
  backend.observe(&timeline_);
  steps_.push_back({number, Timeline::Clock::now(), {}});
}

void StepRecorder::after(Backend& backend) {
  if (!records()) return;
  steps_.back().end = Timeline::Clock::now();
  // Exchanges that nobody waited for in the step are over when words of hosts, which travel behind
  // them, have passed.
  ranks_.host().barrier();
  backend.observe(nullptr);
  if (step_ == request_.last) write();
}

/// Clocks of processes on one machine agree; on several they are set by a moment when all ranks go
/// on together.
void StepRecorder::agree_on_the_time() {
  ranks_.host().barrier();
  const std::vector<Timeline::Time> times = ranks_.host().all_gather_host(Timeline::Clock::now());
  origin_ = times[static_cast<std::size_t>(ranks_.machine())];
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
            request_.file.string(), summary(steps_, timeline_));
}

void StepRecorder::write_file() {
  Communicator& host = ranks_.host();
  std::optional<AtomicFile> file;
  only_rank_0(&host, [&] {
    file.emplace(request_.file);
    file->write(chrome_trace::head(host.size()));
  });
  chrome_trace::Events events(host.rank(), origin_, steps_, timeline_);
  for (bool more = true; more;) {
    const std::vector<std::string> pieces = gather_words(&host, events.next(kPiece));
    only_rank_0(&host, [&] {
      for (std::string const& piece : pieces) file->write(piece);
    });
    more = std::ranges::any_of(pieces, [](std::string const& piece) { return !piece.empty(); });
  }
  only_rank_0(&host, [&] {
    file->write(chrome_trace::kTail);
    file->commit();
  });
}

}  // namespace lomo

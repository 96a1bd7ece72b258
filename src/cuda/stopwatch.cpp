#include "stopwatch.h"

#include <exception>

namespace lomo::cuda {

void Stopwatch::start(cudaStream_t queue) {
  if (zero_ == nullptr) zero_ = make_timed_event();
  check(cudaEventRecord(zero_, queue), "cudaEventRecord, of a timeline");
  check(cudaEventSynchronize(zero_), "cudaEventSynchronize, of a timeline");
  host_zero_ = Profile::Clock::now();
}

void Stopwatch::begin(Profile::Span& span, cudaStream_t queue) {
  laps_.push_back({&span, record(queue), nullptr});
}

void Stopwatch::end(cudaStream_t queue) noexcept {
  try {
    laps_.back().end = record(queue);
  } catch (std::exception const&) {
    laps_.back().end = nullptr;
  }
}

void Stopwatch::finish(Watcher const& watcher) {
  for (Lap const& lap : laps_) {
    if (lap.end == nullptr) continue;
    if (watcher) {
      wait_while_watching(
          watcher, [&] { return cudaEventQuery(lap.end); }, "an event of a timeline");
    } else {
      check(cudaEventSynchronize(lap.end), "cudaEventSynchronize, of a timeline");
    }
    lap.span->begin = time_of(lap.begin);
    lap.span->end = time_of(lap.end);
  }
  laps_.clear();
  used_ = 0;
}

cudaEvent_t Stopwatch::record(cudaStream_t queue) {
  if (used_ == events_.size()) events_.push_back(make_timed_event());
  cudaEvent_t const event = events_[used_++];
  check(cudaEventRecord(event, queue), "cudaEventRecord, of a timeline");
  return event;
}

Profile::Time Stopwatch::time_of(cudaEvent_t event) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, zero_, event), "cudaEventElapsedTime");
  return host_zero_ + std::chrono::duration_cast<Profile::Clock::duration>(
                          std::chrono::duration<double, std::milli>(milliseconds));
}

}  // namespace lomo::cuda

#include "stopwatch.h"

#include <exception>

namespace lomo::cuda {

void Stopwatch::start(cudaStream_t queue) {
  if (zero_ == nullptr) zero_ = make_timed_event();
  check(cudaEventRecord(zero_, queue), "cudaEventRecord, of an event log");
  check(cudaEventSynchronize(zero_), "cudaEventSynchronize, of an event log");
  host_zero_ = EventLog::Clock::now();
}

void Stopwatch::begin(EventLog::Event& event, cudaStream_t queue) {
  laps_.push_back({&event, record(queue), nullptr});
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
          watcher, [&] { return cudaEventQuery(lap.end); }, "an event of an event log");
    } else {
      check(cudaEventSynchronize(lap.end), "cudaEventSynchronize, of an event log");
    }
    lap.event->begin = time_of(lap.begin);
    lap.event->end = time_of(lap.end);
  }
  laps_.clear();
  used_ = 0;
}

cudaEvent_t Stopwatch::record(cudaStream_t queue) {
  if (used_ == events_.size()) events_.push_back(make_timed_event());
  cudaEvent_t const event = events_[used_++];
  check(cudaEventRecord(event, queue), "cudaEventRecord, of an event log");
  return event;
}

EventLog::Time Stopwatch::time_of(cudaEvent_t event) const {
  float milliseconds = 0;
  check(cudaEventElapsedTime(&milliseconds, zero_, event), "cudaEventElapsedTime");
  return host_zero_ + std::chrono::duration_cast<EventLog::Clock::duration>(
                          std::chrono::duration<double, std::milli>(milliseconds));
}

}  // namespace lomo::cuda

#pragma once
#include <cstddef>
#include <deque>
#include <vector>

#include "handles.h"
#include "lomo/backend/event_log.h"
#include "waiting.h"

namespace lomo::cuda {

/// When queues come to what is issued to them: by events that they pass and the host reads later.
class Stopwatch {
 public:
  /// On an idle queue, for which it blocks: the moment that host and device both know.
  void start(cudaStream_t queue);
  void begin(EventLog::Event& event, cudaStream_t queue);
  /// Of the event begun last. When no event can be recorded it stays without its times, and
  /// what is wrong with the device comes to light in the next call.
  void end(cudaStream_t queue) noexcept;
  /// Waits for the queues to pass all events and gives the events their times. `watcher`, if any,
  /// is called meanwhile.
  void finish(Watcher const& watcher);

 private:
  struct Lap {
    EventLog::Event* event = nullptr;
    cudaEvent_t begin = nullptr, end = nullptr;
  };
  cudaEvent_t record(cudaStream_t queue);
  EventLog::Time time_of(cudaEvent_t event) const;

  Event zero_;
  EventLog::Time host_zero_;
  std::vector<Lap> laps_;
  std::deque<Event> events_;  // used again after each `finish`
  std::size_t used_ = 0;
};

}  // namespace lomo::cuda

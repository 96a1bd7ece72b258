#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "lomo/backend/event_log.h"
#include "lomo/run/step_recorder.h"

/// The trace format of Chrome, "Trace Event Format", as JSON: the head, the events of every rank,
/// the tail.
namespace lomo::chrome_trace {

/// Up to the first event, with the names of the processes and threads of `ranks` ranks.
std::string head(int ranks);
inline constexpr char const* kTail = "\n]}\n";

/// The events of one rank as text, a piece at a time. What it refers to must stay.
class Events {
 public:
  /// Times count from `origin`.
  Events(int rank, EventLog::Time origin, std::vector<RecordedStep> const& steps,
         EventLog const& log)
      : rank_(rank), origin_(origin), steps_(steps), events_(log.events()) {}

  /// Whole events of about so many bytes, each with a comma before it; empty when there are no
  /// more.
  std::string next(std::size_t bytes);

 private:
  void add(std::string& text, RecordedStep const& step) const;
  void add(std::string& text, EventLog::Event const& event) const;
  double microseconds(EventLog::Time time) const;

  int rank_;
  EventLog::Time origin_;
  std::vector<RecordedStep> const& steps_;
  std::deque<EventLog::Event> const& events_;
  std::size_t step_ = 0, event_ = 0;  // the next ones
};

}  // namespace lomo::chrome_trace

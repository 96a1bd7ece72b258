#pragma once
#include <vector>

#include "lomo/backend/event_log.h"

namespace lomo::test {

/// The operations, exchanges and waits of a log, in order; what it says of memory left out.
inline std::vector<EventLog::Event> work_of(EventLog const& log) {
  std::vector<EventLog::Event> work;
  for (EventLog::Event const& event : log.events()) {
    using Kind = EventLog::Kind;
    if (event.kind == Kind::operation || event.kind == Kind::exchange || event.waits()) {
      work.push_back(event);
    }
  }
  return work;
}

}  // namespace lomo::test

#include "lomo/plan/step_time.h"

#include <algorithm>

namespace lomo {

std::string_view ExpectedTime::bound() const {
  if (link > compute && link > memory) return "the link";
  return compute >= memory ? "compute" : "memory bandwidth";
}

double expected_seconds(std::string_view op, Cost cost, DType type, DeviceProfile const& device,
                        bool* compute_bound) {
  const bool product = op.starts_with("linear") || op.starts_with("attention");
  const double compute = product ? cost.flops / device.products(type) : 0;
  const double memory = cost.bytes / device.bandwidth;
  if (compute_bound != nullptr) *compute_bound = compute > memory;
  return std::max(compute, memory);
}

StepClock::StepClock(Trace const& trace, DType type, DeviceProfile const& device)
    : trace_(trace), type_(type), device_(device) {}

void StepClock::pass(Trace::Event const& event) {
  switch (event.kind) {
    case Trace::Kind::op: {
      bool compute_bound = false;
      const double seconds =
          expected_seconds(trace_.name(event.name), event.cost, type_, device_, &compute_bound);
      (compute_bound ? time_.compute : time_.memory) += seconds;
      now_ += seconds;
      return;
    }
    case Trace::Kind::exchange: {
      const double bytes = std::max(event.cost.sent, event.cost.received);
      const double seconds = device_.link > 0 ? bytes / device_.link : 0;
      time_.link += seconds;
      link_free_ = std::max(now_, link_free_) + seconds;
      ends_[event.ticket] = link_free_;
      return;
    }
    case Trace::Kind::wait: {
      const auto end = ends_.find(event.ticket);
      if (end == ends_.end()) return;  // from before the clock
      time_.waited += std::max(0.0, end->second - now_);
      now_ = std::max(now_, end->second);
      return;
    }
    case Trace::Kind::allocated:
    case Trace::Kind::freed:
      return;
  }
}

ExpectedTime StepClock::time() const {
  ExpectedTime time = time_;
  time.seconds = std::max(now_, link_free_);
  return time;
}

ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& device) {
  StepClock clock(plan.trace, type, device);
  auto const& events = plan.trace.events();
  for (std::size_t i = plan.step_begins; i < events.size(); ++i) clock.pass(events[i]);
  return clock.time();
}

}  // namespace lomo

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

void StepClock::operate(Trace::Event const& event) {
  std::string const& name = trace_.name(event.name);
  bool compute_bound = false;
  const double seconds = expected_seconds(name, event.cost, type_, device_, &compute_bound);
  (compute_bound ? time_.compute : time_.memory) += seconds;
  products_ += compute_bound ? seconds : 0;
  bytes_ += event.cost.bytes / device_.bandwidth;
  now_[queue_] += seconds;
}

void StepClock::exchange(Trace::Event const& event) {
  const double bytes = std::max(event.cost.sent, event.cost.received);
  const double seconds = device_.link > 0 ? bytes / device_.link : 0;
  time_.link += seconds;
  link_free_ = std::max(now_[queue_], link_free_) + seconds;
  exchanged_[event.fence] = link_free_;
}

void StepClock::pass(Trace::Event const& event) {
  const auto wait_for = [&](std::map<std::uint64_t, double> const& ends) {
    const auto end = ends.find(event.fence);
    if (end != ends.end()) now_[queue_] = std::max(now_[queue_], end->second);
  };  // what is not known was over before the step
  switch (event.kind) {
    case Trace::Kind::op:
      return operate(event);
    case Trace::Kind::exchange:
      return exchange(event);
    case Trace::Kind::wait:
      return wait_for(exchanged_);
    case Trace::Kind::side_stream:
      now_[1] = std::max(now_[0], now_[1]);
      queue_ = 1;
      return;
    case Trace::Kind::main_stream:
      done_[event.fence] = now_[1];
      queue_ = 0;
      return;
    case Trace::Kind::join:
      return wait_for(done_);
    case Trace::Kind::allocated:
    case Trace::Kind::freed:
      return;
  }
}

ExpectedTime StepClock::time() const {
  ExpectedTime time = time_;
  time.seconds = std::max({now_[0], now_[1], link_free_, products_, bytes_});
  return time;
}

ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& device) {
  StepClock clock(plan.trace, type, device);
  auto const& events = plan.trace.events();
  for (std::size_t i = plan.step_begins; i < events.size(); ++i) clock.pass(events[i]);
  return clock.time();
}

}  // namespace lomo

#include "lomo/plan/step_time.h"

#include <algorithm>

namespace lomo {

std::string_view ExpectedTime::bound() const {
  if (link > compute && link > memory) return "the link";
  return compute >= memory ? "compute" : "memory bandwidth";
}

double expected_seconds(std::string_view op, Cost cost, DType type, DeviceProfile const& device,
                        bool* compute_bound) {
  const bool attention = op.starts_with("attention");
  const bool product = op.starts_with("linear") || attention;
  const double rate = attention && device.attention > 0 ? device.attention : device.products(type);
  const double compute = product ? cost.flops / rate : 0;
  const double memory = cost.bytes / device.bandwidth;
  if (compute_bound != nullptr) *compute_bound = compute > memory;
  return std::max(compute, memory);
}

StepClock::StepClock(DType type, DeviceProfile const& device) : type_(type), device_(device) {}

void StepClock::operate(EventLog::Event const& event) {
  bool compute_bound = false;
  const double seconds = expected_seconds(event.name, event.cost, type_, device_, &compute_bound);
  (compute_bound ? time_.compute : time_.memory) += seconds;
  products_ += compute_bound ? seconds : 0;
  bytes_ += event.cost.bytes / device_.bandwidth;
  now_[queue_] += seconds;
}

void StepClock::exchange(EventLog::Event const& event) {
  const double bytes = std::max(event.cost.sent, event.cost.received);
  const double seconds = device_.link > 0 ? bytes / device_.link : 0;
  time_.link += seconds;
  link_free_ = std::max(now_[queue_], link_free_) + seconds;
  exchanged_[event.fence] = link_free_;
}

void StepClock::pass(EventLog::Event const& event) {
  const auto wait_for = [&](std::map<std::uint64_t, double> const& ends) {
    const auto end = ends.find(event.fence);
    if (end != ends.end()) now_[queue_] = std::max(now_[queue_], end->second);
  };  // what is not known was over before the step
  switch (event.kind) {
    case EventLog::Kind::operation:
      return operate(event);
    case EventLog::Kind::exchange:
      return exchange(event);
    case EventLog::Kind::wait:
      return wait_for(exchanged_);
    case EventLog::Kind::side_stream:
      now_[1] = std::max(now_[0], now_[1]);
      queue_ = 1;
      return;
    case EventLog::Kind::main_stream:
      done_[event.fence] = now_[1];
      queue_ = 0;
      return;
    case EventLog::Kind::join:
      return wait_for(done_);
    case EventLog::Kind::allocated:
    case EventLog::Kind::freed:
      return;
  }
}

ExpectedTime StepClock::time() const {
  ExpectedTime time = time_;
  time.seconds = std::max({now_[0], now_[1], link_free_, products_, bytes_});
  return time;
}

ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& device) {
  StepClock clock(type, device);
  auto const& events = plan.log.events();
  for (std::size_t i = plan.step_begins; i < events.size(); ++i) clock.pass(events[i]);
  return clock.time();
}

}  // namespace lomo

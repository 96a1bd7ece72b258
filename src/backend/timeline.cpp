#include "lomo/backend/timeline.h"

namespace lomo {

std::string_view to_string(Lane lane) {
  switch (lane) {
    case Lane::compute:
      return "compute";
    case Lane::updates:
      return "updates";
    case Lane::communication:
      return "communication";
  }
  return "?";
}

Timeline::Span& Timeline::issue(Lane lane, std::string_view name, Cost cost) {
  return spans_.emplace_back(
      Span{.name = name, .lane = lane, .cost = cost, .tensor = tensor_, .issued = Clock::now()});
}

Timeline::Span& Timeline::wait(std::uint64_t exchange) {
  Span& span = issue(engine_, "wait", {});
  span.waits = true;
  span.exchange = exchange;
  return span;
}

Timeline::About::About(Timeline* timeline, std::string_view tensor) : timeline_(timeline) {
  if (timeline_ == nullptr) return;
  before_ = timeline_->tensor_;
  timeline_->tensor_ = *timeline_->tensors_.emplace(tensor).first;
}

Timeline::About::~About() {
  if (timeline_ != nullptr) timeline_->tensor_ = before_;
}

}  // namespace lomo

#include "lomo/backend/profile.h"

namespace lomo {

std::string_view to_string(Track track) {
  switch (track) {
    case Track::compute:
      return "compute";
    case Track::side:
      return "side";
    case Track::communication:
      return "communication";
  }
  return "?";
}

Profile::Span& Profile::issue(Track track, std::string_view name, Cost cost) {
  return spans_.emplace_back(
      Span{.name = name, .track = track, .cost = cost, .tensor = tensor_, .issued = Clock::now()});
}

Profile::Span& Profile::wait(std::uint64_t exchange) {
  Span& span = issue(engine_, "wait", {});
  span.waits = true;
  span.exchange = exchange;
  return span;
}

Profile::Scope::Scope(Profile* profile, std::string_view tensor) : profile_(profile) {
  if (profile_ == nullptr) return;
  before_ = profile_->tensor_;
  profile_->tensor_ = *profile_->tensors_.emplace(tensor).first;
}

Profile::Scope::~Scope() {
  if (profile_ != nullptr) profile_->tensor_ = before_;
}

}  // namespace lomo

#include "lomo/backend/event_log.h"

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

void EventLog::allocated(Category category, std::size_t offset, std::size_t bytes,
                         std::string_view what) {
  events_.push_back({.kind = Kind::allocated,
                     .name = kept(what),
                     .category = category,
                     .offset = offset,
                     .bytes = bytes});
}

void EventLog::freed(Category category, std::size_t offset, std::size_t bytes) {
  events_.push_back({.kind = Kind::freed, .category = category, .offset = offset, .bytes = bytes});
}

EventLog::Event& EventLog::operation(std::string_view name, Cost cost) {
  return issue(Kind::operation, stream_, name, cost);
}

EventLog::Event& EventLog::exchange(std::string_view name, Cost cost) {
  return issue(Kind::exchange, Track::communication, name, cost);
}

EventLog::Event& EventLog::wait(Kind kind, std::uint64_t fence) {
  Event& event = issue(kind, stream_, "wait", {});
  event.fence = fence;
  return event;
}

void EventLog::enter_side_stream(std::uint64_t fence) {
  events_.push_back({.kind = Kind::side_stream, .track = stream_, .fence = fence});
  stream_ = Track::side;
}

void EventLog::leave_side_stream(std::uint64_t fence) {
  events_.push_back({.kind = Kind::main_stream, .track = stream_, .fence = fence});
  stream_ = Track::compute;
}

EventLog::Event& EventLog::issue(Kind kind, Track track, std::string_view name, Cost cost) {
  return events_.emplace_back(Event{.kind = kind,
                                    .track = track,
                                    .name = kept(name),
                                    .cost = cost,
                                    .tensor = tensor_,
                                    .issued = Clock::now()});
}

std::string_view EventLog::kept(std::string_view name) {
  const auto it = names_->find(name);
  return it != names_->end() ? *it : *names_->emplace(name).first;
}

EventLog::Scope::Scope(EventLog* log, std::string_view tensor) : log_(log) {
  if (log_ == nullptr) return;
  before_ = log_->tensor_;
  log_->tensor_ = log_->kept(tensor);
}

EventLog::Scope::~Scope() {
  if (log_ != nullptr) log_->tensor_ = before_;
}

}  // namespace lomo

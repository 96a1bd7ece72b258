#include "lomo/backend/trace.h"

namespace lomo {

void Trace::allocated(Category category, std::size_t offset, std::size_t bytes,
                      std::string_view what) {
  events_.push_back({Kind::allocated, category, index_of(what), offset, bytes, {}, 0});
}

void Trace::freed(Category category, std::size_t offset, std::size_t bytes) {
  events_.push_back({Kind::freed, category, index_of(""), offset, bytes, {}, 0});
}

void Trace::op(std::string_view name, Cost cost) {
  events_.push_back({Kind::op, Category::workspace, index_of(name), 0, 0, cost, 0});
}

void Trace::exchange(std::string_view name, Cost cost) {
  events_.push_back(
      {Kind::exchange, Category::communication, index_of(name), 0, 0, cost, ++exchanges_});
}

void Trace::queue(Kind kind, std::uint64_t fence) {
  events_.push_back({kind, Category::communication, index_of(""), 0, 0, {}, fence});
}

std::uint32_t Trace::index_of(std::string_view name) {
  if (auto it = known_.find(name); it != known_.end()) return it->second;
  const auto index = static_cast<std::uint32_t>(names_.size());
  names_.emplace_back(name);
  known_.emplace(names_.back(), index);
  return index;
}

}  // namespace lomo

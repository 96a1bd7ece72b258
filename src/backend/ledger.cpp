#include "lomo/backend/ledger.h"

#include <algorithm>
#include <numeric>

#include "lomo/backend/event_log.h"

namespace lomo {

std::string_view to_string(Category category) {
  switch (category) {
    case Category::weights:
      return "weights";
    case Category::gradients:
      return "gradients";
    case Category::optimizer:
      return "optimizer";
    case Category::activations:
      return "activations";
    case Category::workspace:
      return "workspace";
    case Category::communication:
      return "communication";
  }
  return "?";
}

void Ledger::allocated(Category category, std::size_t bytes, std::size_t offset,
                       std::string_view what) {
  if (event_log_ != nullptr) event_log_->allocated(category, offset, bytes, what);
  const std::size_t i = index(category);
  held_[i] += bytes;
  peak_each_[i] = std::max(peak_each_[i], held_[i]);
  if (const std::size_t now = current(); now > peak_) {
    peak_ = now;
    at_peak_ = held_;
  }
}

void Ledger::freed(Category category, std::size_t bytes, std::size_t offset) noexcept {
  if (event_log_ != nullptr) event_log_->freed(category, offset, bytes);
  held_[index(category)] -= bytes;
}

void Ledger::extent(std::size_t end) {
  extent_ = std::max(extent_, end);
}

void Ledger::record(std::string_view op, Cost cost) {
  auto it = ops_.find(op);
  if (it == ops_.end()) it = ops_.emplace(op, Op{}).first;
  it->second.calls += 1;
  it->second.cost.flops += cost.flops;
  it->second.cost.bytes += cost.bytes;
  it->second.cost.sent += cost.sent;
  it->second.cost.received += cost.received;
}

std::size_t Ledger::current() const {
  return std::accumulate(held_.begin(), held_.end(), std::size_t{0});
}

double Ledger::flops() const {
  double total = 0;
  for (auto const& [name, op] : ops_) total += op.cost.flops;
  return total;
}

void Ledger::restart() {
  peak_ = current();
  at_peak_ = held_;
  peak_each_ = held_;
  ops_.clear();
}

}  // namespace lomo

#include "lomo/parallel/weight_gatherer.h"

#include <algorithm>

#include "lomo/parallel/ownership.h"

namespace lomo {

Stack::Stack(ParameterGroup const& of, std::size_t from, std::size_t maximum)
    : group(&of), first(from), count(std::min(maximum, of.members().size() - from)) {}

std::int64_t Stack::rows() const {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < count; ++i) rows += member(i).whole.rows();
  return rows;
}

namespace {

/// The matrices of a stack as they lie in memory, where they are whole.
Tensor stacked(Stack const& w) {
  std::int64_t row = 0;
  for (std::size_t m = 0; m < w.first; ++m) row += w.group->members()[m].whole.rows();
  return w.group->stacked().row_block(row, w.rows());
}

Tensor shaped(Buffer const& memory, Shape shape) {
  return memory.tensor().row_block(0, shape.numel()).reshaped(shape);
}

}  // namespace

WeightGatherer::WeightGatherer(Backend& backend, Communicator& ranks, DType dtype,
                               std::int64_t largest)
    : backend_(backend), ranks_(ranks) {
  if (alone()) return;
  for (Slot& slot : slots_) {
    slot.memory = backend.allocate(Shape(largest), dtype, Category::communication, "whole weight");
  }
}

void WeightGatherer::prefetch(std::vector<Parameter const*> const& order) {
  if (alone()) return;
  to_prefetch_.assign(order.begin(), order.end());
  fetch_next();
}

void WeightGatherer::invalidate() {
  to_prefetch_.clear();
  current_ = nullptr;
  for (Slot& slot : slots_) slot.holds = nullptr;
}

void WeightGatherer::linear(Tensor y, Tensor x, Stack w, Tensor residual) {
  if (alone()) return backend_.linear(y, x, stacked(w), residual);
  std::int64_t column = 0;  // of y
  for (std::size_t i = 0; i < w.count; ++i) {
    const std::int64_t rows = w.member(i).whole.rows();
    const EventLog::Scope about(backend_.ledger().event_log(), w.member(i).name);
    backend_.linear(y.col_block(column, rows), x, gathered(w.member(i)),
                    residual ? residual.col_block(column, rows) : residual);
    column += rows;
  }
}

void WeightGatherer::linear_backward_input(Tensor dx, Tensor dy, Stack w, bool accumulate) {
  if (alone()) return backend_.linear_backward_input(dx, dy, stacked(w), accumulate);
  std::int64_t column = dy.cols();
  for (std::size_t i = w.count; i-- > 0;) {
    const std::int64_t rows = w.member(i).whole.rows();
    column -= rows;
    const EventLog::Scope about(backend_.ledger().event_log(), w.member(i).name);
    const bool adds = accumulate || i + 1 < w.count;
    backend_.linear_backward_input(dx, dy.col_block(column, rows), gathered(w.member(i)), adds);
  }
}

Tensor WeightGatherer::gathered(Parameter const& parameter) {
  while (!to_prefetch_.empty()) {
    Parameter const* const next = to_prefetch_.front();
    to_prefetch_.pop_front();
    if (next == &parameter) break;
  }
  Slot* slot = slot_of(parameter);
  if (slot == nullptr) {
    slot = current_ == slots_.data() ? &slots_[1] : slots_.data();
    fetch(*slot, parameter);
  }
  ranks_.wait(slot->fence);
  current_ = slot;
  fetch_next();  // before the product is issued, so beside it
  return shaped(slot->memory, parameter.whole);
}

WeightGatherer::Slot* WeightGatherer::slot_of(Parameter const& parameter) {
  for (Slot& slot : slots_) {
    if (slot.holds == &parameter) return &slot;
  }
  return nullptr;
}

/// Starts after all products issued so far, among them the last that read the slot.
void WeightGatherer::fetch(Slot& slot, Parameter const& parameter) {
  const EventLog::Scope about(backend_.ledger().event_log(), parameter.name);
  slot.holds = &parameter;
  slot.fence = ranks_.all_gather(shaped(slot.memory, parameter.whole), parameter.value,
                                 owned_counts(parameter.whole.rows(), ranks_.size()));
}

/// The first matrix of those to come that lies in no slot, if the other slot's is not needed
/// sooner.
void WeightGatherer::fetch_next() {
  Slot& other = current_ == slots_.data() ? slots_[1] : slots_[0];
  for (Parameter const* next : to_prefetch_) {
    if (next == other.holds) return;
    if (slot_of(*next) == nullptr) return fetch(other, *next);
  }
}

}  // namespace lomo

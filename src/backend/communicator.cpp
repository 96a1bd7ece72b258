#include "lomo/backend/communicator.h"

#include <algorithm>
#include <numeric>
#include <string>
#include <utility>

#include "lomo/backend/event_log.h"
#include "lomo/core/error.h"

namespace lomo {

namespace {

std::int64_t sum(std::span<std::int64_t const> rows) {
  return std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
}

/// Bytes of all rows but those of rank `mine`, which stay here.
double travelling(Tensor t, std::span<std::int64_t const> rows, int mine) {
  const std::int64_t others = sum(rows) - rows[static_cast<std::size_t>(mine)];
  return static_cast<double>(others * (t.shape().rank() == 2 ? t.cols() : 1)) *
         static_cast<double>(size_of(t.dtype()));
}

void require(bool condition, char const* op, std::string const& what) {
  if (!condition) throw Error(std::string(op) + ": " + what);
}

void require_dense(char const* op, Tensor a, Tensor b) {
  require(a.dense() && b.dense(), op, "both tensors must be dense");
  require(a.dtype() == b.dtype() && a.shape().rank() == b.shape().rank() &&
              (a.shape().rank() == 1 || a.cols() == b.cols()),
          op, a.shape().str() + " and " + b.shape().str() + " differ in dtype or columns");
}

void require_counts(char const* op, std::span<std::int64_t const> rows, int size, Tensor t) {
  require(std::cmp_equal(rows.size(), size), op, "one count for each rank is needed");
  require(std::ranges::all_of(rows, [](std::int64_t n) { return n >= 0; }) && sum(rows) == t.rows(),
          op, "the counts do not add up to the rows of " + t.shape().str());
}

}  // namespace

Communicator::Fence Communicator::all_gather(Tensor all, Tensor mine,
                                             std::span<std::int64_t const> rows) {
  require_dense("all_gather", all, mine);
  require_counts("all_gather", rows, size_, all);
  require(mine.rows() == rows[static_cast<std::size_t>(rank_)], "all_gather",
          mine.shape().str() + " is not what this rank's count says");
  const double sent = static_cast<double>(mine.bytes()) * (size_ - 1);
  book("all_gather", {.bytes = static_cast<double>(all.bytes()),
                      .sent = sent,
                      .received = travelling(all, rows, rank_)});
  return issued(do_all_gather(all, mine, rows));
}

Communicator::Fence Communicator::all_to_all(Tensor received, Tensor sent,
                                             std::span<std::int64_t const> from,
                                             std::span<std::int64_t const> to) {
  require_dense("all_to_all", received, sent);
  require_counts("all_to_all", from, size_, received);
  require_counts("all_to_all", to, size_, sent);
  const auto self = static_cast<std::size_t>(rank_);
  require(from[self] == to[self], "all_to_all", "what this rank keeps has two sizes");
  book("all_to_all", {.bytes = static_cast<double>(received.bytes() + sent.bytes()),
                      .sent = travelling(sent, to, rank_),
                      .received = travelling(received, from, rank_)});
  return issued(do_all_to_all(received, sent, from, to));
}

void Communicator::wait(Fence fence) {
  EventLog* const log = ledger_.event_log();
  event_ = nullptr;
  if (log == nullptr) return do_wait(fence);
  event_ = &log->wait(EventLog::Kind::wait, fence);
  do_wait(fence);
  event_->begin = event_->issued;
  event_->end = EventLog::Clock::now();
}

void Communicator::book(std::string_view name, Cost cost) {
  ledger_.record(name, cost);
  EventLog* const log = ledger_.event_log();
  event_ = log == nullptr ? nullptr : &log->exchange(name, cost);
}

Communicator::Fence Communicator::issued(Fence fence) {
  if (event_ != nullptr) event_->fence = fence;
  return fence;
}

void Communicator::all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) {
  require(all.size() == mine.size() * static_cast<std::size_t>(size_), "all_gather_host",
          "the result must have room for what every rank gives");
  host_collectives_ += 1;
  do_all_gather_host(all, mine);
}

}  // namespace lomo

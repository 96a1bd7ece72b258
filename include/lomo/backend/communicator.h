#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "lomo/backend/event_log.h"
#include "lomo/backend/ledger.h"
#include "lomo/core/tensor.h"

namespace lomo {

/// The ranks that train one model together, and what they send each other. Belongs to an engine;
/// implementations lie in its folder.
///
/// Every call is collective: all ranks make the same calls in the same order with sizes that belong
/// together. Zero rows are legal; a rank with nothing to give or to take calls all the same. A rank
/// that is lost, or does not answer within the time limit, is Error(Exit::communication) on the
/// others.
///
/// Exchanges of tensors are asynchronous, on the engine's communication stream, first in, first
/// out. One starts after everything that was issued before it to the stream that is issued to (the
/// compute stream, within Backend::on_side_stream the second one); what is issued there later runs
/// beside it, until `wait`. Before that the tensors it reads must not be overwritten, nor those it
/// writes be touched. Tensors are dense and of one dtype; they are sent as they are.
class Communicator {
 public:
  Communicator(int rank, int size, Ledger& ledger) : rank_(rank), size_(size), ledger_(ledger) {}
  virtual ~Communicator() = default;
  Communicator(Communicator const&) = delete;  // owns connections and a stream
  Communicator& operator=(Communicator const&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }  // R

  // ---- tensors, asynchronous

  /// An exchange under way.
  using Fence = std::uint64_t;
  /// all (sum of rows, I) = the rows of every rank in rank order. rows (R): how many each gives, of
  /// which rows[rank()] are `mine`.  `mine` may lie at its own place in `all`.
  Fence all_gather(Tensor all, Tensor mine, std::span<std::int64_t const> rows);
  /// Rank q gets the next to[q] rows of `sent` (sum of to, I); `received` (sum of from, I) = the
  /// from[q] rows that rank q sent here, in rank order.
  Fence all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const> from,
                   std::span<std::int64_t const> to);
  /// Work issued from here on to the stream that is issued to starts when the exchange, and all
  /// before it, is done. Blocks the host only where that stream is the host itself (CPU).
  void wait(Fence fence);

  // ---- a few bytes of the host, blocking

  /// all (R x mine.size()) = what each rank gave, in rank order.
  void all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine);
  /// What each rank gave, in rank order: by adding these up in order every rank gets the same bits.
  template <class T>
  std::vector<T> all_gather_host(T const& mine) {
    std::vector<T> all(static_cast<std::size_t>(size_));
    all_gather_host(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(&mine, 1)));
    return all;
  }
  /// How many there were so far: each costs the host a round trip.
  std::int64_t host_collectives() const { return host_collectives_; }
  /// Returns when every rank has come here.
  void barrier() { all_gather_host(char{0}); }

 protected:
  /// Of the call under way: where it notes when it begins and ends on its stream; null: nowhere. A
  /// wait of which nothing is noted held up the host for as long as the call took.
  EventLog::Event* event() const { return event_; }

 private:
  void book(std::string_view name, Cost cost);
  Fence issued(Fence fence);

  virtual Fence do_all_gather(Tensor all, Tensor mine, std::span<std::int64_t const> rows) = 0;
  virtual Fence do_all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const> from,
                              std::span<std::int64_t const> to) = 0;
  virtual void do_wait(Fence fence) = 0;
  virtual void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) = 0;

  int rank_;
  int size_;
  Ledger& ledger_;
  std::int64_t host_collectives_ = 0;
  EventLog::Event* event_ = nullptr;
};

}  // namespace lomo

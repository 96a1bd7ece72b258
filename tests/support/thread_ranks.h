#pragma once
#include <algorithm>
#include <barrier>
#include <cstddef>
#include <cstring>
#include <exception>
#include <memory>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/core/error.h"

/// Ranks that are threads of one process, each with an engine of its own, exchanging through
/// memory.
namespace lomo::test {

/// What R threads share: where each laid out what it gives.
struct Meeting {
  explicit Meeting(int ranks) : all_here(ranks), given(static_cast<std::size_t>(ranks)) {}
  struct Given {
    std::byte const* bytes = nullptr;
    std::vector<std::size_t> sizes;  // to each rank, one after the other
  };
  std::barrier<> all_here;
  std::vector<Given> given;
};

/// Exchanges in its calls, on the queue of the host. What is received is NaN until `wait`, so that
/// a reader who does not wait is seen.
class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(int rank, int size, Backend& backend, Meeting& meeting)
      : Communicator(rank, size, backend.ledger()), meeting_(meeting) {}

 private:
  struct Pending {
    Tensor to;
    std::vector<std::byte> bytes;
    std::span<std::byte const> sent;  // must still be `copy` when it is waited for
    std::vector<std::byte> copy;
  };

  Fence do_all_gather(Tensor all, Tensor mine, std::span<std::int64_t const>) override {
    return start(all, bytes_of(mine), std::vector(members(), mine.bytes()));
  }

  Fence do_all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const>,
                      std::span<std::int64_t const> to) override {
    const std::size_t row = sent.rows() == 0 ? 0 : sent.bytes() / rows_of(sent);
    std::vector<std::size_t> sizes;
    for (const std::int64_t rows : to) sizes.push_back(static_cast<std::size_t>(rows) * row);
    return start(received, bytes_of(sent), std::move(sizes), /*apart=*/true);
  }

  void do_wait(Fence fence) override {
    while (done_ < fence) {
      Pending& next = pending_[done_++];
      if (!std::ranges::equal(next.sent, next.copy)) {
        throw Error("a tensor was overwritten while it was being sent");
      }
      if (!next.bytes.empty()) std::memcpy(next.to.raw(), next.bytes.data(), next.bytes.size());
      next.bytes.clear();
      next.copy.clear();
      next.sent = {};
    }
  }

  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    const std::vector<std::byte> received = exchange(mine, std::vector(members(), mine.size()));
    if (!received.empty()) std::memcpy(all.data(), received.data(), received.size());
  }

  std::size_t members() const { return static_cast<std::size_t>(size()); }
  static std::size_t rows_of(Tensor t) { return static_cast<std::size_t>(t.rows()); }
  static std::span<std::byte const> bytes_of(Tensor t) {
    return {static_cast<std::byte const*>(t.raw()), t.bytes()};
  }

  Fence start(Tensor to, std::span<std::byte const> mine, std::vector<std::size_t> sizes,
              bool apart = false) {
    Pending next{to, exchange(mine, std::move(sizes), apart), mine, {}};
    if (to.numel() > 0) std::memset(to.raw(), 0xff, to.bytes());  // NaN in every type
    next.copy.assign(mine.begin(), mine.end());  // after that, for `mine` may lie in `to`
    pending_.push_back(std::move(next));
    return pending_.size();
  }

  /// What every rank gives this one, in rank order: `apart`, its own part of it; else all.
  std::vector<std::byte> exchange(std::span<std::byte const> mine, std::vector<std::size_t> sizes,
                                  bool apart = false) {
    meeting_.given[static_cast<std::size_t>(rank())] = {mine.data(), std::move(sizes)};
    meeting_.all_here.arrive_and_wait();
    std::vector<std::byte> received;
    for (Meeting::Given const& given : meeting_.given) {
      if (given.sizes.empty()) throw Error(Exit::communication, "a rank is gone");
      std::byte const* from = given.bytes;
      for (int q = 0; apart && q < rank(); ++q) from += given.sizes[static_cast<std::size_t>(q)];
      received.insert(received.end(), from, from + given.sizes[static_cast<std::size_t>(rank())]);
    }
    meeting_.all_here.arrive_and_wait();
    return received;
  }

  Meeting& meeting_;
  std::vector<Pending> pending_;  // by fence - 1
  Fence done_ = 0;
};

/// Runs f(engine of one thread, communicator, rank) on R ranks at once. What any throws is thrown
/// again.
template <class F>
void on_ranks(int ranks, F const& f) {
  Meeting meeting(ranks);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(ranks));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < ranks; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        const auto backend = make_cpu_backend({1, std::size_t{1} << 28});
        if (ranks == 1) return f(*backend, backend->self_group(), rank);
        ThreadCommunicator communicator(rank, ranks, *backend, meeting);
        f(*backend, communicator, rank);
      } catch (...) {
        errors[static_cast<std::size_t>(rank)] = std::current_exception();
        meeting.given[static_cast<std::size_t>(rank)] = {};
        meeting.all_here.arrive_and_drop();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (auto const& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace lomo::test

#include <algorithm>
#include <barrier>
#include <exception>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"

namespace lomo::dry {

namespace {

/// Where threads lay out what they say.
struct Table {
  explicit Table(int ranks) : all_here(ranks), said(static_cast<std::size_t>(ranks)) {}
  std::barrier<> all_here;
  std::vector<std::optional<std::span<std::byte const>>> said;  // by rank; none: it is gone
};

class ThreadHost final : public Communicator {
 public:
  ThreadHost(int rank, int size, Table& table) : Communicator(rank, size, ledger_), table_(table) {}

 private:
  [[noreturn]] static void refuse() { throw Error("these ranks have only words for each other"); }
  Fence do_all_gather(Tensor, Tensor, std::span<std::int64_t const>) override { refuse(); }
  Fence do_all_to_all(Tensor, Tensor, std::span<std::int64_t const>,
                      std::span<std::int64_t const>) override {
    refuse();
  }
  void do_wait(Fence) override { refuse(); }
  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    table_.said[static_cast<std::size_t>(rank())] = mine;
    table_.all_here.arrive_and_wait();
    bool complete = true;
    std::size_t at = 0;
    for (auto const& words : table_.said) {
      complete = complete && words && words->size() == mine.size();
      if (complete) std::ranges::copy(*words, all.subspan(at).begin());
      at += mine.size();
    }
    table_.all_here.arrive_and_wait();  // before anyone's words go
    if (!complete) throw Error(Exit::communication, "a rank is gone");
  }

  Table& table_;
  Ledger ledger_;
};

}  // namespace

}  // namespace lomo::dry

void lomo::dry_run_on_ranks(int ranks, std::function<void(Communicator&)> const& f) {
  dry::Table table(ranks);
  std::vector<std::exception_ptr> causes(static_cast<std::size_t>(ranks)), effects = causes;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < ranks; ++rank) {
      threads.emplace_back([&, rank] {
        const auto self = static_cast<std::size_t>(rank);
        try {
          dry::ThreadHost host(rank, ranks, table);
          f(host);
          return;
        } catch (Error const& error) {
          (error.code() == Exit::communication ? effects : causes)[self] = std::current_exception();
        } catch (...) {
          causes[self] = std::current_exception();
        }
        table.said[self].reset();
        table.all_here.arrive_and_drop();
      });
    }
  }
  for (auto const& failures : {causes, effects}) {
    for (auto const& failure : failures) {
      if (failure) std::rethrow_exception(failure);
    }
  }
}

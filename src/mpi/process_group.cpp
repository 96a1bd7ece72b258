#include <sys/prctl.h>

#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "lomo/backend/plugin.h"
#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"
#include "mpi_queue.h"

namespace lomo::mpi {

namespace {

enum Tag : int { kAllGather, kAllToAll, kHost, kFailure };

/// What goes to one rank, and where what comes from it belongs.
struct Part {
  std::byte* in = nullptr;
  std::size_t coming = 0;
  std::byte const* out = nullptr;
  std::size_t going = 0;
};

/// Messages from each rank to each, part(q) for rank q: what a rank receives is what it must, and
/// none passes on what belongs to another.
template <class F>
PendingExchange exchange_of(char const* name, Tag tag, MpiQueue const& queue, F&& part) {
  PendingExchange exchange;
  exchange.name = name;
  exchange.tag = tag;
  for (int q = 0; q < queue.size(); ++q) {
    const Part p = part(q);
    if (q == queue.rank()) {
      exchange.keep = {p.in, p.out, p.coming};
    } else {
      exchange.receives.push_back({q, p.in, p.coming});
      exchange.sends.push_back({q, p.out, p.going});
    }
  }
  return exchange;
}

PendingExchange host_exchange(char const* name, Tag tag, MpiQueue const& queue, std::byte* all,
                              std::span<std::byte const> mine) {
  return exchange_of(name, tag, queue, [&](int q) {
    return Part{all + static_cast<std::size_t>(q) * mine.size(), mine.size(), mine.data(),
                mine.size()};
  });
}

std::size_t row_bytes(Tensor t) {
  return static_cast<std::size_t>(t.shape().rank() == 2 ? t.cols() : 1) * size_of(t.dtype());
}

/// Takes row blocks of a tensor one after the other.
template <class Byte>
class Blocks {
 public:
  explicit Blocks(Tensor t) : at_(static_cast<Byte*>(t.raw())), row_(row_bytes(t)) {}
  std::pair<Byte*, std::size_t> next(std::int64_t rows) {
    const std::size_t bytes = static_cast<std::size_t>(rows) * row_;
    return {std::exchange(at_, at_ + bytes), bytes};
  }

 private:
  Byte* at_;
  std::size_t row_;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator(MpiQueue& queue, Ledger& ledger)
      : Communicator(queue.rank(), queue.size(), ledger), queue_(queue) {}
  ~MpiCommunicator() override {
    // Idle, unless an error is on its way up. Tensors end with their engine: nothing may be written
    // there afterwards.
    queue_.finish_or_give_up(last_, std::chrono::seconds(5));
  }

 private:
  Fence do_all_gather(Tensor all, Tensor mine, std::span<std::int64_t const> rows) override {
    Blocks<std::byte> blocks(all);
    return issue_tensors(exchange_of("all_gather", kAllGather, queue_, [&](int q) {
      const auto [in, coming] = blocks.next(rows[static_cast<std::size_t>(q)]);
      return Part{in, coming, static_cast<std::byte const*>(mine.raw()), mine.bytes()};
    }));
  }

  Fence do_all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const> from,
                      std::span<std::int64_t const> to) override {
    Blocks<std::byte> in_blocks(received);
    Blocks<std::byte const> out_blocks(sent);
    return issue_tensors(exchange_of("all_to_all", kAllToAll, queue_, [&](int q) {
      const auto [in, coming] = in_blocks.next(from[static_cast<std::size_t>(q)]);
      const auto [out, going] = out_blocks.next(to[static_cast<std::size_t>(q)]);
      return Part{in, coming, out, going};
    }));
  }

  void do_wait(Fence fence) override { queue_.wait(fence); }

  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    queue_.wait(issue(host_exchange("all_gather_host", kHost, queue_, all.data(), mine)));
  }

  Fence issue_tensors(PendingExchange exchange) {
    exchange.event = event();
    return issue(std::move(exchange));
  }

  Fence issue(PendingExchange exchange) {
    last_ = queue_.issue(std::move(exchange));
    return last_;
  }

  MpiQueue& queue_;
  Fence last_ = 0;
};

class MpiProcessGroup final : public ProcessGroup {
 public:
  explicit MpiProcessGroup(std::unique_ptr<MpiQueue> queue)
      : ProcessGroup({queue->rank(), queue->size(), queue->local_rank(), queue->local_size(),
                      queue->machine()}),
        queue_(std::move(queue)),
        host_(*queue_, ledger_) {}

  std::unique_ptr<Communicator> communicator(Backend& backend) override {
    return std::make_unique<MpiCommunicator>(*queue_, backend.ledger());
  }
  Communicator& host() override { return host_; }
  std::vector<Failure> failures(Failure mine, std::chrono::milliseconds window) override {
    std::vector<Failure> all(static_cast<std::size_t>(size()));
    all[static_cast<std::size_t>(rank())] = mine;
    const auto bytes = std::as_writable_bytes(std::span(all));
    const auto fence = queue_->issue(host_exchange("failures", kFailure, *queue_, bytes.data(),
                                                   std::as_bytes(std::span(&mine, 1))));
    queue_->finish_or_give_up(fence, window);
    return all;
  }

 private:
  void timeout_is(std::chrono::seconds timeout) override { queue_->set_timeout(timeout); }
  void end_others(int code) override { queue_->end_others(code); }

  std::unique_ptr<MpiQueue> queue_;
  Ledger ledger_;  // of words between hosts
  MpiCommunicator host_;
};

std::unique_ptr<ProcessGroup> make_process_group() {
  // A launcher that is killed cannot end its ranks; mpirun's main thread is their parent.
  if (std::getenv("OMPI_COMM_WORLD_SIZE") != nullptr) prctl(PR_SET_PDEATHSIG, SIGKILL);
  auto queue = std::make_unique<MpiQueue>();
  char const* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  if (queue->size() == 1 && tasks != nullptr && std::atoi(tasks) > 1) {
    throw Error(Exit::usage, "srun started " + std::string(tasks) +
                                 " tasks, but each of them finds itself alone: start them with "
                                 "srun --mpi=pmix, or with mpirun");
  }
  return std::make_unique<MpiProcessGroup>(std::move(queue));
}

}  // namespace

}  // namespace lomo::mpi

/// What lomo::make_mpi_process_group looks for in this library.
extern "C" lomo::MpiPlugin const* lomo_mpi_plugin() {
  static const lomo::MpiPlugin plugin{lomo::build_id(), lomo::mpi::make_process_group};
  return &plugin;
}

#include "communicator.h"

#include <algorithm>
#include <array>
#include <exception>
#include <string>
#include <thread>
#include <vector>

#include "device.h"
#include "lomo/core/error.h"
#include "nccl.h"

namespace lomo::cuda {
namespace {

/// NCCL waits for nobody: its calls return before they are done, and the host asks until they are,
/// as long as its timeout lasts. A call that waited itself would wait for ever for a rank that is
/// gone, in the first meeting of all as in the first exchange between two.
class NcclCommunicator final : public Communicator {
 public:
  NcclCommunicator(CudaBackend& engine, Communicator& host, std::chrono::seconds timeout)
      : Communicator(host.rank(), host.size(), engine.ledger()),
        engine_(engine),
        host_(host),
        nccl_(open_nccl()),
        timeout_(timeout),
        queue_(make_queue()),
        issued_(make_event()) {
    for (Event& event : done_) event = make_event();
    require_own_gpu();
    ncclUniqueId id{};
    if (rank() == 0) check_nccl(nccl_.get_unique_id(&id), "ncclGetUniqueId");
    id = host_.all_gather_host(id).front();
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    finish(nccl_.init_rank(&all_, size(), id, rank(), &config), "ncclCommInitRankConfig");
    engine_.watch([this](std::chrono::nanoseconds waited) { look_at_others(waited); }, queue_);
  }
  ~NcclCommunicator() override {
    engine_.watch({});
    if (all_ == nullptr) return;
    // What others no longer send NCCL would wait for.
    const bool rests = std::uncaught_exceptions() == 0 && comes_to_rest();
    if (all_ != nullptr) static_cast<void>(rests ? nccl_.destroy(all_) : nccl_.abort(all_));
  }

 private:
  /// NCCL only says "invalid usage" where two ranks were given one GPU.
  void require_own_gpu() {
    const auto mine = gpu_identity();
    const auto all = host_.all_gather_host(mine);
    for (int q = 0; q < size(); ++q) {
      if (q == rank() || all[static_cast<std::size_t>(q)] != mine) continue;
      throw Error(Exit::usage, "ranks " + std::to_string(std::min(q, rank())) + " and " +
                                   std::to_string(std::max(q, rank())) +
                                   " were given the same GPU; start as many ranks a machine as it "
                                   "has GPUs");
    }
  }

  Fence do_all_gather(Tensor all, Tensor mine, std::span<std::int64_t const> rows) override {
    return exchange([&] {
      std::int64_t first = 0;
      for (int q = 0; q < size(); ++q) {
        const std::int64_t count = rows[static_cast<std::size_t>(q)];
        const Tensor part = all.row_block(first, count);
        first += count;
        if (part.numel() == 0) continue;
        check_nccl(nccl_.broadcast(q == rank() ? mine.raw() : part.raw(), part.raw(), part.bytes(),
                                   ncclInt8, q, all_, queue_),
                   "ncclBroadcast");
      }
    });
  }

  Fence do_all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const> from,
                      std::span<std::int64_t const> to) override {
    return exchange([&] {
      std::int64_t first_sent = 0, first_received = 0;
      for (int q = 0; q < size(); ++q) {
        const Tensor out = sent.row_block(first_sent, to[static_cast<std::size_t>(q)]);
        const Tensor in = received.row_block(first_received, from[static_cast<std::size_t>(q)]);
        first_sent += out.rows();
        first_received += in.rows();
        if (q == rank()) {
          if (in.numel() > 0 && in.raw() != out.raw()) {
            check(
                cudaMemcpyAsync(in.raw(), out.raw(), in.bytes(), cudaMemcpyDeviceToDevice, queue_),
                "cudaMemcpyAsync, of an exchange");
          }
          continue;
        }
        if (out.numel() > 0) {
          check_nccl(nccl_.send(out.raw(), out.bytes(), ncclInt8, q, all_, queue_), "ncclSend");
        }
        if (in.numel() > 0) {
          check_nccl(nccl_.receive(in.raw(), in.bytes(), ncclInt8, q, all_, queue_), "ncclRecv");
        }
      }
    });
  }

  /// The calls of `f` as one exchange, after all that was issued to the engine's stream.
  template <class F>
  Fence exchange(F&& f) {
    if (all_ == nullptr) lost("the ranks were parted before");
    check(cudaEventRecord(issued_, engine_.queue()), "cudaEventRecord, of an exchange");
    check(cudaStreamWaitEvent(queue_, issued_, 0), "cudaStreamWaitEvent, of an exchange");
    if (event() != nullptr) engine_.stopwatch().begin(*event(), queue_);
    check_nccl(nccl_.group_start(), "ncclGroupStart");
    f();
    finish(nccl_.group_end(), "ncclGroupEnd");  // before that nothing is on the stream
    if (event() != nullptr) engine_.stopwatch().end(queue_);
    const Fence fence = ++exchanges_;
    check(cudaEventRecord(event_of(fence), queue_), "cudaEventRecord, of an exchange");
    return fence;
  }

  void do_wait(Fence fence) override {
    if (event() != nullptr) engine_.stopwatch().begin(*event(), engine_.queue());
    check(cudaStreamWaitEvent(engine_.queue(), event_of(fence), 0),
          "cudaStreamWaitEvent, of an exchange");
    if (event() != nullptr) engine_.stopwatch().end(engine_.queue());
  }

  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    host_.all_gather_host(all, mine);
  }

  /// Exchanges end in order, so an event that was recorded again since stands for a later one.
  Event const& event_of(Fence fence) const { return done_[fence % done_.size()]; }

  /// While the host waits for its own stream, which may wait for a rank that is gone.
  void look_at_others(std::chrono::nanoseconds waited) {
    if (all_ == nullptr) return;
    ncclResult_t state = ncclSuccess;
    check_nccl(nccl_.async_error(all_, &state), "ncclCommGetAsyncError");
    if (state != ncclSuccess && state != ncclInProgress) lost(nccl_.error_string(state));
    if (waited > timeout_) does_not_answer();
  }

  [[noreturn]] void does_not_answer() {
    lost("another rank does not answer for " + std::to_string(timeout_.count()) + " s");
  }

  /// Until `call`, which returned `status`, is done.
  void finish(ncclResult_t status, char const* call) {
    WaitingTime waiting;
    while (status == ncclInProgress) {
      const std::chrono::nanoseconds waited = waiting.look();
      if (waited > timeout_) does_not_answer();
      // Most calls are done within microseconds, less than a sleep takes.
      if (waited > std::chrono::milliseconds(1)) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
      }
      check_nccl(nccl_.async_error(all_, &status), "ncclCommGetAsyncError");
    }
    check_nccl(status, call);
  }

  /// Whether all exchanges ended and all ranks said so.
  bool comes_to_rest() {
    try {
      wait_while_watching([this](std::chrono::nanoseconds waited) { look_at_others(waited); },
                          [this] { return cudaStreamQuery(queue_); }, "cudaStreamQuery");
      finish(nccl_.finalize(all_), "ncclCommFinalize");
      return true;
    } catch (Error const&) {
      return false;
    }
  }

  void check_nccl(ncclResult_t status, char const* call) {
    if (status == ncclSuccess || status == ncclInProgress) return;
    lost(std::string(call) + ": " + nccl_.error_string(status));
  }

  /// Lets the streams go on, whatever they then compute, and ends the run of this rank.
  [[noreturn]] void lost(std::string const& why) {
    if (all_ != nullptr) static_cast<void>(nccl_.abort(all_));
    all_ = nullptr;
    throw Error(Exit::communication, "NCCL, rank " + std::to_string(rank()) + ": " + why);
  }

  CudaBackend& engine_;
  Communicator& host_;
  Nccl nccl_;
  std::chrono::seconds timeout_;
  Queue queue_;
  Event issued_;  // what the engine's stream had been given when an exchange was asked for
  std::array<Event, 16> done_;
  ncclComm_t all_ = nullptr;
  Fence exchanges_ = 0;
};

}  // namespace

std::unique_ptr<Communicator> make_communicator(CudaBackend& engine, Communicator& host,
                                                std::chrono::seconds timeout) {
  return std::make_unique<NcclCommunicator>(engine, host, timeout);
}

}  // namespace lomo::cuda

#include <algorithm>
#include <cstdlib>
#include <string>

#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"

namespace lomo {

namespace {

class SelfCommunicator final : public Communicator {
 public:
  SelfCommunicator(Backend* backend, Ledger& ledger)
      : Communicator(0, 1, ledger), backend_(backend) {}

 private:
  Fence do_all_gather(Tensor all, Tensor mine, std::span<std::int64_t const>) override {
    return keep(all, mine);
  }
  Fence do_all_to_all(Tensor received, Tensor sent, std::span<std::int64_t const>,
                      std::span<std::int64_t const>) override {
    return keep(received, sent);
  }
  void do_wait(Fence) override {}
  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    std::ranges::copy(mine, all.begin());
  }
  Fence keep(Tensor to, Tensor from) {
    if (backend_ == nullptr) throw Error("tensors are exchanged by an engine's communicator");
    if (to.raw() != from.raw() || !backend_->computes()) backend_->copy(to, from);
    return 0;
  }

  Backend* backend_;  // null: host collectives only
};

class SingleRank final : public ProcessGroup {
 public:
  SingleRank() : ProcessGroup(Topology{}), host_(nullptr, ledger_) {}
  std::unique_ptr<Communicator> communicator(Backend& backend) override {
    return std::make_unique<SelfCommunicator>(&backend, backend.ledger());
  }
  Communicator& host() override { return host_; }
  std::vector<Failure> failures(Failure mine, std::chrono::milliseconds) override { return {mine}; }

 private:
  void timeout_is(std::chrono::seconds) override {}
  void end_others(int) override {}

  Ledger ledger_;
  SelfCommunicator host_;
};

bool is_set(char const* name) {
  return std::getenv(name) != nullptr;
}

}  // namespace

bool started_as_rank() {
  // Open MPI's mpirun; anything that speaks PMIx or PMI; srun, which also sets SLURM_PROCID in
  // batch scripts, where nothing was started yet.
  if (is_set("OMPI_COMM_WORLD_SIZE") || is_set("PMIX_RANK") || is_set("PMI_RANK")) return true;
  char const* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
  return is_set("SLURM_STEP_ID") && tasks != nullptr && std::atoi(tasks) > 1;
}

std::unique_ptr<ProcessGroup> make_single_rank() {
  return std::make_unique<SingleRank>();
}

Communicator& Backend::self_group() {
  if (!self_group_) self_group_ = std::make_unique<SelfCommunicator>(this, ledger_);
  return *self_group_;
}

}  // namespace lomo

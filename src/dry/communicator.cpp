#include <algorithm>
#include <memory>

#include "lomo/backend/process_group.h"

namespace lomo::dry {

namespace {

class DryCommunicator final : public Communicator {
 public:
  DryCommunicator(int rank, int size, Backend& backend, Communicator* host)
      : Communicator(rank, size, backend.ledger()), host_(host) {}

 private:
  Fence do_all_gather(Tensor, Tensor, std::span<std::int64_t const>) override { return ++issued_; }
  Fence do_all_to_all(Tensor, Tensor, std::span<std::int64_t const>,
                      std::span<std::int64_t const>) override {
    return ++issued_;
  }
  void do_wait(Fence) override {}
  void do_all_gather_host(std::span<std::byte> all, std::span<std::byte const> mine) override {
    if (host_ != nullptr) return host_->all_gather_host(all, mine);
    for (std::size_t at = 0; at < all.size(); at += mine.size()) {
      std::ranges::copy(mine, all.subspan(at).begin());
    }
  }

  Communicator* host_;  // null: all ranks say the same
  Fence issued_ = 0;
};

}  // namespace

}  // namespace lomo::dry

std::unique_ptr<lomo::Communicator> lomo::make_dry_communicator(Backend& backend, int rank,
                                                                int size) {
  return std::make_unique<dry::DryCommunicator>(rank, size, backend, nullptr);
}

std::unique_ptr<lomo::Communicator> lomo::make_dry_communicator(Backend& backend,
                                                                Communicator& host) {
  return std::make_unique<dry::DryCommunicator>(host.rank(), host.size(), backend, &host);
}

#include <limits>
#include <memory>
#include <string>

#include "lomo/backend/backend.h"
#include "lomo/backend/host.h"
#include "lomo/core/error.h"
#include "lomo/cpu/workspace.h"
#include "lomo/cuda/workspace.h"

namespace lomo::dry {

/// Computes nothing and keeps the accounting: every check, cost, block and workspace of another
/// engine, no values. What asks for a value throws.
class DryBackend final : public Backend {
 public:
  explicit DryBackend(EngineOptions const& options) : Backend(Device::dry) {
    if (options.accounting == Device::cuda) {
      name_ = "the CUDA engine";
      queues_ = 2;
      workspaces_ = std::make_unique<CudaWorkspaces>();
    } else {
      const int threads = options.threads > 0 ? options.threads : host::allowed_threads();
      name_ = std::to_string(threads) + (threads == 1 ? " thread" : " threads");
      workspaces_ = std::make_unique<CpuWorkspaces>(threads);
    }
    const std::size_t maximum = options.memory > 0 ? options.memory
                                                   : std::numeric_limits<std::size_t>::max() / 2 /
                                                         Slab::kAlignment * Slab::kAlignment;
    adopt_slab(std::make_unique<Slab>(nullptr, maximum, Device::dry, ledger()));
  }
  std::string describe() const override { return "plan for " + name_; }
  bool computes() const override { return false; }
  int streams() const override { return queues_; }

 private:
  /// Takes the op's workspace and gives it back.
  void work(std::string_view op, std::size_t bytes) { workspace_of(op, bytes); }

  void do_synchronize() override {}
  // memory
  void do_upload(Tensor, std::span<std::byte const>) override {}
  void do_download(std::span<std::byte>, Tensor src) override {
    throw Error("download: the dry engine holds no values, and something asks for those of a " +
                src.shape().str() + " tensor");
  }
  void do_copy(Tensor, Tensor) override {}
  void do_zero(Tensor) override {}
  // linear layers
  void do_linear(Tensor y, Tensor x, Tensor, Tensor) override {
    work("linear", workspaces_->linear(y, x));
  }
  void do_linear_backward_input(Tensor dx, Tensor dy, Tensor, bool) override {
    work("linear_backward_input", workspaces_->linear_backward_input(dx, dy));
  }
  void do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool) override {
    work("linear_backward_weight", workspaces_->linear_backward_weight(g, dy, x));
  }
  void do_linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) override {
    work("linear_backward_weights", workspaces_->linear_backward_weights(g, dy, x, blocks));
  }
  void do_add_bias(Tensor, Tensor, Tensor) override {}
  void do_sum_columns(Tensor, Tensor dy) override {
    work("sum_columns", workspaces_->sum_columns(dy));
  }
  void do_scale(Tensor, Tensor, float, Tensor) override {}
  // rows
  void do_gather_rows(Tensor, Tensor, Tensor) override {}
  void do_scatter_rows(Tensor, Tensor, Tensor) override {}
  void do_sum_rows(Tensor, Tensor, Tensor, Tensor) override {}
  void do_add_rows(Tensor, Tensor, Tensor, std::int64_t) override {}
  // block
  void do_rmsnorm(Tensor, Tensor, Tensor, Tensor, float) override {}
  void do_rmsnorm_backward(Tensor, Tensor dw, Tensor, Tensor x, Tensor, Tensor, Tensor) override {
    work("rmsnorm_backward", workspaces_->rmsnorm_backward(x, dw));
  }
  void do_rope(Tensor x, Tensor, Tensor inv_freq, Rotation, RopeHeads) override {
    work("rope", workspaces_->rope(x, inv_freq));
  }
  void do_attention(Tensor, Tensor, Tensor, Tensor, Tensor, Sequences const&, Sequences const&,
                    Heads const& heads) override {
    work("attention", workspaces_->attention(heads));
  }
  void do_attention_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor q, Tensor,
                             Tensor, Sequences const&, Sequences const&,
                             Heads const& heads) override {
    work("attention_backward", workspaces_->attention_backward(q, heads));
  }
  void do_swiglu(Tensor, Tensor) override {}
  void do_swiglu_backward(Tensor, Tensor, Tensor) override {}
  // head
  void do_cross_entropy_begin(Tensor) override {}
  void do_cross_entropy_block(Tensor, Tensor, Tensor, std::int64_t) override {}
  void do_cross_entropy_end(Tensor, Tensor, Tensor) override {}
  void do_cross_entropy_backward(Tensor, Tensor, Tensor, Tensor, std::int64_t, float) override {}
  // partial sums of ranks
  void do_sum_partials(Tensor, Tensor) override {}
  void do_cross_entropy_merge(Tensor, Tensor) override {}
  // gradients and updates
  void do_accumulate_squared_norm(Tensor, Tensor g, float) override {
    work("accumulate_squared_norm", workspaces_->accumulate_squared_norm(g));
  }
  void do_inner_product(Tensor, Tensor a, Tensor, double) override {
    work("inner_product", workspaces_->inner_product(a));
  }
  void do_sgd_update(Tensor w, Tensor g, std::int64_t ranks, SgdStep const&,
                     RoundingPlan const& plan, Tensor, Tensor) override {
    work("sgd_update", workspaces_->rounding_stats(ranks > 0 ? w : g, plan));
  }
  void do_momentum_update(Tensor, Tensor, float, GradientScaling const&, Tensor) override {}
  void do_adamw_update(Tensor, Tensor, Tensor, Tensor g, AdamStep const&, RoundingPlan const& plan,
                       Tensor) override {
    work("adamw_update", workspaces_->rounding_stats(g, plan));
  }
  void do_square_sums(Tensor, Tensor, Tensor g, GradientScaling const&) override {
    work("square_sums", workspaces_->square_sums(g));
  }
  void do_decay_average(Tensor, Tensor, float, float, float, Tensor) override {}
  void do_sum(Tensor, Tensor) override {}
  void do_adalomo_statistics(Tensor, Tensor, Tensor g, Tensor, Tensor, AdaLomoTensor const&,
                             GradientScaling const&) override {
    work("adalomo_statistics", workspaces_->adalomo_statistics(g));
  }
  void do_adalomo_update(Tensor, Tensor g, Tensor, Tensor, Tensor, AdaLomoTensor const&,
                         AdaLomoStep const&, RoundingPlan const& plan, Tensor) override {
    work("adalomo_update", workspaces_->adalomo_update(g, plan));
  }

  std::string name_;
  int queues_ = 1;
  std::unique_ptr<Workspaces> workspaces_;
};

}  // namespace lomo::dry

std::unique_ptr<lomo::Backend> lomo::make_dry_backend(EngineOptions const& options) {
  return std::make_unique<dry::DryBackend>(options);
}

#pragma once
#include <memory>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"

namespace lomo::test {

/// An engine without arithmetic: it notes which do_ methods were called. Tensors have addresses
/// that nobody follows.
class RecordingBackend final : public Backend {
 public:
  RecordingBackend() : Backend(Device::dry) {
    adopt_slab(std::make_unique<Slab>(nullptr, std::size_t{1} << 30, Device::dry, ledger()));
  }
  std::string describe() const override { return "records"; }

  std::vector<std::string> called;

  /// A tensor nobody owns.
  static Tensor tensor(Shape shape, DType type) {
    return Tensor(nullptr, shape, type, Device::dry);
  }

 private:
  void do_synchronize() override {}
  void do_upload(Tensor, std::span<std::byte const>) override { called.push_back("upload"); }
  void do_download(std::span<std::byte>, Tensor) override { called.push_back("download"); }
  void do_copy(Tensor, Tensor) override { called.push_back("copy"); }
  void do_zero(Tensor) override { called.push_back("zero"); }
  void do_linear(Tensor, Tensor, Tensor, Tensor) override { called.push_back("linear"); }
  void do_linear_backward_input(Tensor, Tensor, Tensor, bool) override {
    called.push_back("linear_backward_input");
  }
  void do_linear_backward_weight(Tensor, Tensor, Tensor, bool) override {
    called.push_back("linear_backward_weight");
  }
  void do_linear_backward_weights(Tensor, Tensor, Tensor, ColumnBlocks) override {
    called.push_back("linear_backward_weights");
  }
  void do_gather_rows(Tensor, Tensor, Tensor) override { called.push_back("gather_rows"); }
  void do_scatter_rows(Tensor, Tensor, Tensor) override { called.push_back("scatter_rows"); }
  void do_sum_rows(Tensor, Tensor, Tensor, Tensor) override { called.push_back("sum_rows"); }
  void do_add_rows(Tensor, Tensor, Tensor, std::int64_t) override { called.push_back("add_rows"); }
  void do_add_bias(Tensor, Tensor, Tensor) override { called.push_back("add_bias"); }
  void do_sum_columns(Tensor, Tensor) override { called.push_back("sum_columns"); }
  void do_scale(Tensor, Tensor, float, Tensor) override { called.push_back("scale"); }
  void do_rmsnorm(Tensor, Tensor, Tensor, Tensor, float) override { called.push_back("rmsnorm"); }
  void do_rmsnorm_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor) override {
    called.push_back("rmsnorm_backward");
  }
  void do_rope(Tensor, Tensor, Tensor, Rotation, RopeHeads) override { called.push_back("rope"); }
  void do_attention(Tensor, Tensor, Tensor, Tensor, Tensor, Sequences const&, Sequences const&,
                    Heads const&) override {
    called.push_back("attention");
  }
  void do_attention_backward(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor,
                             Sequences const&, Sequences const&, Heads const&) override {
    called.push_back("attention_backward");
  }
  void do_swiglu(Tensor, Tensor) override { called.push_back("swiglu"); }
  void do_swiglu_backward(Tensor, Tensor, Tensor) override { called.push_back("swiglu_backward"); }
  void do_cross_entropy_begin(Tensor) override { called.push_back("cross_entropy_begin"); }
  void do_cross_entropy_block(Tensor, Tensor, Tensor, std::int64_t) override {
    called.push_back("cross_entropy_block");
  }
  void do_cross_entropy_end(Tensor, Tensor, Tensor) override {
    called.push_back("cross_entropy_end");
  }
  void do_cross_entropy_backward(Tensor, Tensor, Tensor, Tensor, std::int64_t, float) override {
    called.push_back("cross_entropy_backward");
  }
  void do_sum_partials(Tensor, Tensor) override { called.push_back("sum_partials"); }
  void do_cross_entropy_merge(Tensor, Tensor) override { called.push_back("cross_entropy_merge"); }
  void do_accumulate_squared_norm(Tensor, Tensor, float) override {
    called.push_back("accumulate_squared_norm");
  }
  void do_inner_product(Tensor, Tensor, Tensor, double) override {
    called.push_back("inner_product");
  }
  void do_sgd_update(Tensor, Tensor, std::int64_t, SgdStep const&, RoundingPlan const&, Tensor,
                     Tensor) override {
    called.push_back("sgd_update");
  }
  void do_momentum_update(Tensor, Tensor, float, GradientScaling const&, Tensor) override {
    called.push_back("momentum_update");
  }
  void do_adamw_update(Tensor, Tensor, Tensor, Tensor, AdamStep const&, RoundingPlan const&,
                       Tensor) override {
    called.push_back("adamw_update");
  }
  void do_square_sums(Tensor, Tensor, Tensor, GradientScaling const&) override {
    called.push_back("square_sums");
  }
  void do_decay_average(Tensor, Tensor, float, float, float, Tensor) override {
    called.push_back("decay_average");
  }
  void do_sum(Tensor, Tensor) override { called.push_back("sum"); }
  void do_adalomo_statistics(Tensor, Tensor, Tensor, Tensor, Tensor, AdaLomoTensor const&,
                             GradientScaling const&) override {
    called.push_back("adalomo_statistics");
  }
  void do_adalomo_update(Tensor, Tensor, Tensor, Tensor, Tensor, AdaLomoTensor const&,
                         AdaLomoStep const&, RoundingPlan const&, Tensor) override {
    called.push_back("adalomo_update");
  }
};

}  // namespace lomo::test

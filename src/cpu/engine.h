#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "lomo/backend/backend.h"
#include "lomo/cpu/workspace.h"

namespace lomo::cpu {

class Gemm;  // gemm.h, the only file that knows oneDNN
class Scratch;
enum class Bf16Products : std::uint8_t;

/// How linear_backward_weight makes an element's bits independent of the tile it is computed in.
enum class WeightTiles : std::uint8_t {
  as_asked,  // one product of dense operands: enough where Gemm::extents_do_not_matter()
  panels,    // products of one fixed extent, zeros filling up the last
};

/// The CPU engine: oneDNN for products, OpenMP loops for the rest, one file an op family. All calls
/// are synchronous. Scratch comes from the slab, as lomo/cpu/workspace.h declares, before a
/// parallel region starts. Results do not depend on the number of threads, but for products on
/// machines where Gemm::extents_do_not_matter() is false: oneDNN's kernels there cut a product by
/// its threads.
class CpuBackend final : public Backend {
 public:
  explicit CpuBackend(EngineOptions const& options);
  /// With ways of computing that need not be the machine's best, for tests.
  CpuBackend(EngineOptions const& options, Bf16Products bf16, WeightTiles tiles);
  ~CpuBackend() override;
  std::string describe() const override;

 private:
  void do_synchronize() override {}
  // memory.cpp
  void do_upload(Tensor dst, std::span<std::byte const> src) override;
  void do_download(std::span<std::byte> dst, Tensor src) override;
  void do_copy(Tensor dst, Tensor src) override;
  void do_zero(Tensor x) override;
  // linear.cpp
  void do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) override;
  void do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) override;
  void do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) override;
  void do_linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) override;
  // rows.cpp
  void do_gather_rows(Tensor y, Tensor x, Tensor index) override;
  void do_scatter_rows(Tensor y, Tensor x, Tensor index) override;
  void do_sum_rows(Tensor out, Tensor dy, Tensor order, Tensor segments) override;
  void do_add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first) override;
  // norm.cpp
  void do_rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) override;
  void do_rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w, Tensor rstd,
                           Tensor residual) override;
  // bias.cpp
  void do_add_bias(Tensor y, Tensor bias, Tensor x) override;
  void do_sum_columns(Tensor dbias, Tensor dy) override;
  void do_scale(Tensor y, Tensor x, float factor, Tensor residual) override;
  // rope.cpp
  void do_rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation,
               RopeHeads heads) override;
  // attention.cpp, attention_backward.cpp
  void do_attention(Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Sequences const& q_rows,
                    Sequences const& k_rows, Heads const& heads) override;
  void do_attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse,
                             Tensor q, Tensor k, Tensor v, Sequences const& q_rows,
                             Sequences const& k_rows, Heads const& heads) override;
  // swiglu.cpp
  void do_swiglu(Tensor act, Tensor gate_up) override;
  void do_swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up) override;
  // cross_entropy.cpp
  void do_cross_entropy_begin(Tensor running) override;
  void do_cross_entropy_block(Tensor running, Tensor z, Tensor targets,
                              std::int64_t first) override;
  void do_cross_entropy_end(Tensor loss, Tensor lse, Tensor running) override;
  void do_cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets,
                                 std::int64_t first, float scale) override;
  // ranks.cpp
  void do_sum_partials(Tensor out, Tensor partials) override;
  void do_cross_entropy_merge(Tensor running, Tensor partials) override;
  // update.cpp
  void do_accumulate_squared_norm(Tensor stats, Tensor g, float scale) override;
  void do_inner_product(Tensor sums, Tensor a, Tensor b, double weight) override;
  void do_sgd_update(Tensor w, Tensor g, std::int64_t ranks, SgdStep const& step,
                     RoundingPlan const& plan, Tensor found_inf, Tensor rows) override;
  void do_momentum_update(Tensor m, Tensor g, float momentum, GradientScaling const& gradient,
                          Tensor found_inf) override;
  void do_adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                       RoundingPlan const& plan, Tensor found_inf) override;
  // adalomo.cpp
  void do_square_sums(Tensor row, Tensor col, Tensor g, GradientScaling const& gradient) override;
  void do_decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                        Tensor found_inf) override;
  void do_sum(Tensor total, Tensor x) override;
  void do_adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                             AdaLomoTensor const& whole, GradientScaling const& gradient) override;
  void do_adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                         AdaLomoTensor const& whole, AdaLomoStep const& step,
                         RoundingPlan const& plan, Tensor found_inf) override;

  void weight(Tensor g, Tensor dy, Tensor x, bool accumulate, Scratch scratch);
  void linear_by_panels(Tensor y, Tensor x, Tensor w, bool adds, Scratch scratch);
  void weight_by_panels(Tensor g, Tensor dy, Tensor x, bool accumulate, Scratch scratch);

  struct Mapping;  // the reserved address range
  std::unique_ptr<Mapping> mapping_;
  std::unique_ptr<Gemm> gemm_;
  WeightTiles tiles_;
  int threads_ = 1;
  CpuWorkspaces workspaces_;
};

}  // namespace lomo::cpu

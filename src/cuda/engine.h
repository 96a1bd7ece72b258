#pragma once
#include <array>
#include <memory>
#include <span>
#include <string>

#include "handles.h"
#include "lomo/backend/backend.h"
#include "lomo/cuda/workspace.h"
#include "staging.h"
#include "stopwatch.h"
#include "waiting.h"

namespace lomo::cuda {

class Gemm;  // gemm.h, the only file that knows cuBLASLt

/// The CUDA engine: cuBLASLt for products, kernels/ for the rest, one file an op family. Both
/// streams are streams that keep order by events alone; the host waits in `download` and
/// `synchronize`. The slab is one cudaMalloc. The same calls on the same GPU give the same bits: no
/// kernel uses float atomics, and cuBLASLt's algorithm for a shape is chosen once.
class CudaBackend final : public Backend {
 public:
  explicit CudaBackend(EngineOptions const& options);
  ~CudaBackend() override;
  std::string describe() const override;
  int streams() const override { return 2; }

  /// The stream that is issued to now, for exchanges that keep order with it.
  cudaStream_t queue() const { return queue_; }
  /// From here on `watcher` whenever the host waits, and `synchronize` waits for `exchanges` as
  /// well; none: {}.
  void watch(Watcher watcher, cudaStream_t exchanges = nullptr) {
    watcher_ = std::move(watcher);
    exchanges_ = exchanges;
  }
  /// For what its stream, or one that keeps order with it, is given beside the operations.
  Stopwatch& stopwatch() { return stopwatch_; }

 private:
  void start_clock() override { stopwatch_.start(queue_); }
  void note_begin(EventLog::Event& event) override { stopwatch_.begin(event, queue_); }
  void note_end(EventLog::Event&) noexcept override { stopwatch_.end(queue_); }
  void finish_clock() override { stopwatch_.finish(watcher_); }
  void do_synchronize() override;
  void do_enter_side_stream(Fence fence) override;
  void do_leave_side_stream(Fence fence) override;
  void do_wait(Fence fence) override;
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
  // attention.cpp
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
  void do_sum_partials(Tensor sums, Tensor partials) override;
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

  /// One weight gradient, with the workspace that is declared for it.
  void weight(Tensor g, Tensor dy, Tensor x, bool accumulate, Tensor work);
  /// Until all that was issued to a stream is done.
  void wait_for(cudaStream_t queue);
  /// A side stream ends its work in order, so an event that was recorded again since stands for
  /// later work.
  Event const& event_of(Fence fence) const { return done_[fence % done_.size()]; }

  std::string name_;
  CudaWorkspaces workspaces_;
  DeviceMemory memory_;  // of the slab
  Queue compute_, second_;
  cudaStream_t queue_ = nullptr;  // the one that is issued to
  Event issued_;               // what the compute stream had been given when the second was entered
  std::array<Event, 4> done_;  // by fence
  Staging staging_;
  std::unique_ptr<Gemm> gemm_;
  Watcher watcher_;
  cudaStream_t exchanges_ = nullptr;  // of the communicator that watches
  Stopwatch stopwatch_;
};

}  // namespace lomo::cuda

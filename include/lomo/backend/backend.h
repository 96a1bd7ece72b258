#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "lomo/backend/event_log.h"
#include "lomo/backend/ledger.h"
#include "lomo/backend/ops.h"
#include "lomo/backend/slab.h"
#include "lomo/core/tensor.h"

namespace lomo {

class Communicator;

/// An engine: memory and the closed set of operations a LLaMA training step needs.
///
/// Every public operation checks shapes, dtypes and devices once, throws Error naming the op and
/// both shapes when they do not match, records its cost on the ledger, and calls the engine's do_
/// method, which trusts its arguments. Zero rows are legal everywhere.
///
/// `T` below is the storage type of a run: f32, bf16 or f16. All
/// arithmetic is f32 or better whatever T is; results are rounded to T once, nearest. Outputs are
/// wholly overwritten unless the comment says "adds". Inputs and outputs do not overlap unless the
/// comment allows it. Operations are asynchronous on the engine's compute stream, or on its second
/// one within `on_side_stream`; those that block say so. Letters: docs/NOTATION.md.
class Backend {
 public:
  explicit Backend(Device device);
  virtual ~Backend();
  Backend(Backend const&) = delete;  // engines own threads, streams and the slab
  Backend& operator=(Backend const&) = delete;

  Device device() const { return device_; }
  /// For banners: "CPU, 2 threads, oneDNN 2.6.3 (avx512_core_bf16)".
  virtual std::string describe() const = 0;
  /// False on the dry engine: no operation has a result, and `download` throws. Who decides by a
  /// number asks first and takes the way of a step that goes well.
  virtual bool computes() const { return true; }
  Ledger& ledger() { return ledger_; }
  Ledger const& ledger() const { return ledger_; }
  /// The group of one rank, for a model that is whole here: what it exchanges is copied, where this
  /// engine computes.
  Communicator& self_group();

  // ---- memory -----------------------------------------------------------------------------------

  /// A block of the slab with undefined contents; see Slab::allocate.
  Buffer allocate(Shape shape, DType dtype, Category category, std::string_view what);
  /// dst = src from host memory; sizes must agree. Blocks until `src` may be reused.
  void upload(Tensor dst, std::span<std::byte const> src);
  /// dst = src to host memory. Blocks until all work issued to this stream so far is done.
  void download(std::span<std::byte> dst, Tensor src);
  /// dst = src, same shape; converts between f32, bf16, f16 and f64 (nearest).
  void copy(Tensor dst, Tensor src);
  /// x = 0.
  void zero(Tensor x);
  /// Blocks until all work issued so far is done, on every stream.
  void synchronize();
  /// From here on notes in `log` what happens on this engine and when it runs, exchanges of its
  /// tensors too, until it is given null. Blocks both times until all work is done, not in between.
  /// After the second every operation has its times, and every exchange that was waited for.
  void set_event_log(EventLog* log);

  // ---- a side stream ---------------------------------------------------------------------------

  /// Work that one call of `on_side_stream` issued; 0: none.
  using Fence = std::uint64_t;
  /// 2 where what `on_side_stream` issues runs beside what is issued after it; 1 where it is done
  /// when `on_side_stream` returns (CPU, whose stream is the host).
  virtual int streams() const { return 1; }
  /// While it lives, operations and exchanges go to the side stream: they start after all that was
  /// issued before, on either stream, and run beside what is issued later, until `wait`. Before
  /// that the tensors they read must not be overwritten, those they write not be touched, and the
  /// memory of both not be freed, but within it: what is freed there, workspaces included, stays
  /// taken until the `wait`. One at a time.
  class SideStream {
   public:
    explicit SideStream(Backend& backend);
    SideStream(SideStream const&) = delete;
    SideStream& operator=(SideStream const&) = delete;
    /// Leaves it, and lets no error out of it: one of the device comes to light in the next call.
    ~SideStream();
    Fence fence() const { return fence_; }
    /// The same with its errors. Once.
    void leave();

   private:
    Backend& backend_;
    Fence fence_;
    bool inside_ = true;
  };
  /// Calls `issue` within a SideStream.
  Fence on_side_stream(std::function<void()> const& issue);
  /// Work issued to the compute stream from here on starts when that of `fence`, and of all fences
  /// before it, is done. Does not block the host. Not within a SideStream.
  void wait(Fence fence);

  // ---- linear layers ----------------------------------------------------------------------------

  /// y (N,O) = x (N,I) w^T [+ residual (N,O)].   w (O,I).  y is T or f32, the rest T.
  /// `residual` may be y itself. Row n of y depends on row n of x alone. An element's bits do not
  /// depend on which other rows of w are there when y is f32.
  void linear(Tensor y, Tensor x, Tensor w, Tensor residual = {});
  /// dx (N,I) = dy (N,O) w (O,I), or adds to dx when `accumulate`.  dx is T or f32.
  void linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate = false);
  /// g (O,I) f32 = dy^T x, or adds to g when `accumulate`.  dy (N,O), x (N,I) T; dy may be a column
  /// block of a wider matrix. An element's bits do not depend on which other rows are in the tile.
  void linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate = false);
  /// The same for B blocks of t columns of dy (N, (B - 1) stride + t), one below the other, in one
  /// product: rows [b t, (b + 1) t) of g (B t,I) = dy_b^T x, summed in f32 and rounded once. g is T
  /// or f32.
  void linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks);

  /// y (N,O) = bias (O) in every row [+ x (N,O)], all T, may be column blocks; y may be x. Before a
  /// `linear` that adds to y, so that the sum with the bias is rounded once.
  void add_bias(Tensor y, Tensor bias, Tensor x = {});
  /// dbias (O) f32 = sum over the rows of dy (N,O) T, in a fixed order. dy may be a column block.
  void sum_columns(Tensor dbias, Tensor dy);
  /// y (N,C) = factor x (N,C) [+ residual (N,C)], in f32, rounded once; all T; y may be x or
  /// residual.
  void scale(Tensor y, Tensor x, float factor, Tensor residual = {});

  // ---- rows -------------------------------------------------------------------------------------

  /// y (M,C) = rows index[i] of x (K,C).   index (M) i32, each in [0, K).
  void gather_rows(Tensor y, Tensor x, Tensor index);
  /// y (K,C): row index[i] = x (M,C) row i; other rows are left alone. Indices are distinct.
  void scatter_rows(Tensor y, Tensor x, Tensor index);
  /// out (U,C) f32: out[u] = sum of rows order[segments[u] .. segments[u+1]) of dy (N,C) T, added
  /// in that order.   order (N) i32, segments (U+1) i32.
  void sum_rows(Tensor out, Tensor dy, Tensor order, Tensor segments);
  /// g (t,C) f32 adds u (U,C) f32: g[index[i] - first] += u[i] for those i with
  /// first <= index[i] < first + t.   index (U) i32, distinct.
  void add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first);

  // ---- block ------------------------------------------------------------------------------------

  /// y (N,C) = x * rstd * w,  rstd (N) f32 = 1 / sqrt(mean(x^2) + eps).   x, y (N,C), w (C): T.
  /// By heads where w (D) is shorter than a row: each of the C / D blocks of D columns is a row of
  /// its own, rstd (N C / D), those of row 0 first. D is at most 256 then.
  void rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps);
  /// dx (N,C) T = [residual (N,C) T] + d/dx;  dw (C) f32 = sum over rows in a fixed order.
  /// dy, x (N,C) T; w (C) T; rstd (N) f32 from the forward; by heads likewise, dw (D). dx may be dy
  /// or residual.
  /// `dw` may be none when the weight is frozen.
  void rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w, Tensor rstd,
                        Tensor residual = {});
  /// Rotary embedding in place (Su et al. 2021, arXiv 2104.09864; Hugging Face's half layout):
  /// each head's pair (x[i], x[i + R/2]) turns by angle positions[n] * inv_freq[i] and is
  /// multiplied by heads.scale; what lies behind the first R columns of a head stays as it is. x
  /// (N, heads * D) T, may be a column block;  positions (N) i32;  inv_freq (R/2) f32, R <= D.
  /// Rotation::inverse is the transpose, which is the backward.
  void rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation, RopeHeads heads = {});
  /// Causal softmax attention within sequences. Query row i sees the key rows of its sequence
  /// whose position is not above its own, and with a window w not w or more below; a query that
  /// sees none gives 0 and lse = -inf.
  /// out, q (Nq, H*D);  k, v (Nk, G*D): T, may be column blocks;  lse (Nq, H) f32, natural log of
  /// the sum of exponentials of the scaled scores, for the backward.
  void attention(Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Sequences const& q_rows,
                 Sequences const& k_rows, Heads const& heads);
  /// dq (Nq, H*D), dk, dv (Nk, G*D): T, may be column blocks of one matrix. Recomputes the scores
  /// from lse; sums in a fixed order.
  void attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse,
                          Tensor q, Tensor k, Tensor v, Sequences const& q_rows,
                          Sequences const& k_rows, Heads const& heads);
  /// act (N,F) = silu(gate) * up.   gate_up (N,2F): gate in the left half, up in the right.
  void swiglu(Tensor act, Tensor gate_up);
  /// d_gate_up (N,2F) from d_act (N,F).  d_gate_up may be gate_up itself.
  void swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up);

  // ---- head: cross-entropy over blocks of the vocabulary ----------------------------------------

  /// Starts the online log-sum-exp: running (N',3) f32, columns max = -inf, sum = 0, target = 0.
  void cross_entropy_begin(Tensor running);
  /// Takes logits z (N',B) f32 of vocabulary rows [first, first + B) into `running`; the column
  /// `target` receives the logit of targets[i] when it lies in the block.   targets (N') i32.
  void cross_entropy_block(Tensor running, Tensor z, Tensor targets, std::int64_t first);
  /// lse (N') = max + log(sum);  loss (N') = lse - target logit, in nats.   f32.
  void cross_entropy_end(Tensor loss, Tensor lse, Tensor running);
  /// dz (N',B) T or f32 = scale * (exp(z - lse) - [first + j == targets[i]]).   z (N',B) f32.
  /// dz may be z when it is f32.
  void cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets, std::int64_t first,
                              float scale);

  // ---- partial sums of ranks ---------------------------------------------------------------

  /// out (t,I) = sum over ranks q of rows [q t, (q + 1) t) of parts (R t,I), added in that order:
  /// out f32 of parts T, or both f64.
  void sum_partials(Tensor out, Tensor partials);
  /// running (n,3) f32, as cross_entropy_block leaves it, of all vocabulary rows, from those that R
  /// ranks made of rows of their own: rank q's are rows [q n, (q + 1) n) of parts (R n,3) f32.
  void cross_entropy_merge(Tensor running, Tensor partials);

  // ---- gradients and updates --------------------------------------------------------------------

  /// stats (2) f64: adds sum of (scale * g)^2 over finite elements to stats[0] and the number of
  /// non-finite elements to stats[1], row after row, so that a matrix measured in tiles of rows
  /// gives the same bits however it is cut.   g f32.
  void accumulate_squared_norm(Tensor stats, Tensor g, float scale);
  /// sums (2) f64: adds weight * sum of a b to sums[0] and weight * |a| |b| (2-norms of all
  /// elements) to sums[1], in f64, row after row.   a, b (t,n) f32. Anything not finite makes
  /// sums[0] so.
  void inner_product(Tensor sums, Tensor a, Tensor b, double weight);

  // The updates below leave everything as it was when guard (2) f64 is given and guard[1] != 0:
  // pass the stats of `accumulate_squared_norm` to keep a non-finite gradient away from the
  // weights. `rows` (t) i32 names the row of w for each row of g (distinct); none means w and g
  // correspond row by row. Weights are rounded to their storage type as `plan` says.

  /// SGD / LOMO (arXiv 2306.09782, Alg. 1): w = round(w (1 - lr decay) - lr g').
  /// w (t,I) or (K,I) with rows, T;  g (t,I) f32;  g' as in GradientScaling. Without rows g may
  /// also be the parts of R ranks, (R t,I) f32 or bf16, to the bits of what sum_partials makes of
  /// them.
  struct SgdStep {
    float lr = 0;
    float weight_decay = 0;
    GradientScaling gradient;
  };
  void sgd_update(Tensor w, Tensor g, SgdStep const& step, RoundingPlan const& plan,
                  Tensor found_inf = {}, Tensor rows = {});
  /// m = momentum m + g' (f32, shape of g); then g = m, ready for sgd_update with a neutral
  /// GradientScaling.
  void momentum_update(Tensor m, Tensor g, float momentum, GradientScaling const& gradient,
                       Tensor found_inf = {});
  /// AdamW (Loshchilov & Hutter 2019, arXiv 1711.05101, Alg. 2): m, v f32 like g;
  /// m = b1 m + (1-b1) g', v = b2 v + (1-b2) g'^2,
  /// w = round(w (1 - lr decay) - lr (m / c1) / (sqrt(v / c2) + eps)), ci = 1 - bi^t.
  struct AdamStep {
    float lr = 0, beta1 = 0.9f, beta2 = 0.999f, eps = 1e-8f, weight_decay = 0;
    std::int64_t t = 1;  // 1 on the first update
    GradientScaling gradient;
  };
  void adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                    RoundingPlan const& plan, Tensor found_inf = {});

  // AdaLomo (Lv et al. 2023, arXiv 2310.10195; the released code's square-root form). A vector
  // parameter is a matrix of one row: then the factored second moment is the plain one.

  /// row (O) f32 = sum over columns, col (I) f32 = sum over rows of g'^2.   g (O,I) f32.
  void square_sums(Tensor row, Tensor col, Tensor g, GradientScaling const& gradient);
  /// state (n) f32 = beta state + (1 - beta) (scale sums + eps).
  void decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                     Tensor found_inf = {});
  /// total (1) f64: adds the sum of x (n) f32.
  void sum(Tensor total, Tensor x);
  /// The whole tensor an AdaLomo op works on a part of (rows owned by one rank).
  struct AdaLomoTensor {
    Tensor row_total;       // (1) f64, sum of `row` over the whole tensor
    std::int64_t rows = 0;  // of the whole tensor
    std::int64_t numel = 0;
  };
  /// sums (2) f64: adds sum of U^2 and sum of w^2, where U_ij = g'_ij r_i c_j,
  /// r = rsqrt(row / mean(row)), c = rsqrt(col); the product row x col is never formed, since it
  /// underflows for embedding rows that never occurred.
  void adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                          AdaLomoTensor const& whole, GradientScaling const& gradient);
  /// eta = lr max(eps2, sqrt(sums[1] / numel)); u = U / max(1, sqrt(sums[0] / numel) / d);
  /// w = round(w (1 - eta decay) - eta u).   w (O,I) T;  d = clip_threshold.
  struct AdaLomoStep {
    float lr = 0, weight_decay = 0, clip_threshold = 1, eps2 = 1e-3f;
    GradientScaling gradient;
  };
  void adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                      AdaLomoTensor const& whole, AdaLomoStep const& step, RoundingPlan const& plan,
                      Tensor found_inf = {});

 protected:
  /// The engine's slab; set once by the engine's constructor.
  void adopt_slab(std::unique_ptr<Slab> slab) { slab_ = std::move(slab); }
  Slab& slab() { return *slab_; }
  /// The workspace of one call of an op, of the size that the engine's Workspaces declare. For
  /// engines: taken first, given back last.
  Buffer workspace_of(std::string_view op, std::size_t bytes);

 private:
  /// One operation while it is issued: accounted for, and noted where there is an event log.
  class Operation {
   public:
    Operation(Backend& backend, std::string_view name, Cost cost);
    Operation(Operation const&) = delete;
    Operation& operator=(Operation const&) = delete;
    ~Operation() {
      if (event_ != nullptr) backend_.note_end(*event_);
    }

   private:
    Backend& backend_;
    EventLog::Event* event_ = nullptr;
  };

  /// Notes when the stream comes to an operation, and when it is done with it. Where that is not
  /// now, both are known by `finish_clock`; `start_clock` comes before the first. As they are here,
  /// the stream is the host.
  virtual void start_clock() {}
  virtual void note_begin(EventLog::Event& event) { event.begin = EventLog::Clock::now(); }
  virtual void note_end(EventLog::Event& event) noexcept { event.end = EventLog::Clock::now(); }
  virtual void finish_clock() {}
  virtual void do_synchronize() = 0;
  /// The stream that is issued to: the second from `enter` to `leave`, both with the same fence.
  /// Never called where there is one stream.
  virtual void do_enter_side_stream(Fence) {}
  virtual void do_leave_side_stream(Fence) {}
  virtual void do_wait(Fence) {}
  virtual void do_upload(Tensor dst, std::span<std::byte const> src) = 0;
  virtual void do_download(std::span<std::byte> dst, Tensor src) = 0;
  virtual void do_copy(Tensor dst, Tensor src) = 0;
  virtual void do_zero(Tensor x) = 0;
  virtual void do_linear(Tensor y, Tensor x, Tensor w, Tensor residual) = 0;
  virtual void do_linear_backward_input(Tensor dx, Tensor dy, Tensor w, bool accumulate) = 0;
  virtual void do_linear_backward_weight(Tensor g, Tensor dy, Tensor x, bool accumulate) = 0;
  virtual void do_linear_backward_weights(Tensor g, Tensor dy, Tensor x, ColumnBlocks blocks) = 0;
  virtual void do_add_bias(Tensor y, Tensor bias, Tensor x) = 0;
  virtual void do_sum_columns(Tensor dbias, Tensor dy) = 0;
  virtual void do_scale(Tensor y, Tensor x, float factor, Tensor residual) = 0;
  virtual void do_gather_rows(Tensor y, Tensor x, Tensor index) = 0;
  virtual void do_scatter_rows(Tensor y, Tensor x, Tensor index) = 0;
  virtual void do_sum_rows(Tensor out, Tensor dy, Tensor order, Tensor segments) = 0;
  virtual void do_add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first) = 0;
  virtual void do_rmsnorm(Tensor y, Tensor rstd, Tensor x, Tensor w, float eps) = 0;
  virtual void do_rmsnorm_backward(Tensor dx, Tensor dw, Tensor dy, Tensor x, Tensor w, Tensor rstd,
                                   Tensor residual) = 0;
  virtual void do_rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation,
                       RopeHeads heads) = 0;
  virtual void do_attention(Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                            Sequences const& q_rows, Sequences const& k_rows,
                            Heads const& heads) = 0;
  virtual void do_attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out,
                                     Tensor lse, Tensor q, Tensor k, Tensor v,
                                     Sequences const& q_rows, Sequences const& k_rows,
                                     Heads const& heads) = 0;
  virtual void do_swiglu(Tensor act, Tensor gate_up) = 0;
  virtual void do_swiglu_backward(Tensor d_gate_up, Tensor d_act, Tensor gate_up) = 0;
  virtual void do_cross_entropy_begin(Tensor running) = 0;
  virtual void do_cross_entropy_block(Tensor running, Tensor z, Tensor targets,
                                      std::int64_t first) = 0;
  virtual void do_cross_entropy_end(Tensor loss, Tensor lse, Tensor running) = 0;
  virtual void do_cross_entropy_backward(Tensor dz, Tensor z, Tensor lse, Tensor targets,
                                         std::int64_t first, float scale) = 0;
  virtual void do_sum_partials(Tensor out, Tensor partials) = 0;
  virtual void do_cross_entropy_merge(Tensor running, Tensor partials) = 0;
  virtual void do_accumulate_squared_norm(Tensor stats, Tensor g, float scale) = 0;
  virtual void do_inner_product(Tensor sums, Tensor a, Tensor b, double weight) = 0;
  /// `ranks`: how many gave parts of g; 0: it is whole, f32.
  virtual void do_sgd_update(Tensor w, Tensor g, std::int64_t ranks, SgdStep const& step,
                             RoundingPlan const& plan, Tensor found_inf, Tensor rows) = 0;
  virtual void do_momentum_update(Tensor m, Tensor g, float momentum,
                                  GradientScaling const& gradient, Tensor found_inf) = 0;
  virtual void do_adamw_update(Tensor w, Tensor m, Tensor v, Tensor g, AdamStep const& step,
                               RoundingPlan const& plan, Tensor found_inf) = 0;
  virtual void do_square_sums(Tensor row, Tensor col, Tensor g,
                              GradientScaling const& gradient) = 0;
  virtual void do_decay_average(Tensor state, Tensor sums, float beta, float scale, float eps,
                                Tensor found_inf) = 0;
  virtual void do_sum(Tensor total, Tensor x) = 0;
  virtual void do_adalomo_statistics(Tensor sums, Tensor w, Tensor g, Tensor row, Tensor col,
                                     AdaLomoTensor const& whole,
                                     GradientScaling const& gradient) = 0;
  virtual void do_adalomo_update(Tensor w, Tensor g, Tensor row, Tensor col, Tensor sums,
                                 AdaLomoTensor const& whole, AdaLomoStep const& step,
                                 RoundingPlan const& plan, Tensor found_inf) = 0;

  Device device_;
  Ledger ledger_;
  std::unique_ptr<Slab> slab_;
  std::unique_ptr<Communicator> self_group_;  // made when it is asked for
  bool on_side_stream_ = false;               // within `on_side_stream`
  Fence issued_ = 0;                          // the latest
  Fence waited_for_ = 0;                      // it and all before it
};

/// What an engine is made with.
struct EngineOptions {
  /// Worker threads of the CPU engine; 0: as many as the affinity mask allows.
  int threads = 0;
  /// Most bytes the slab may hold; 0: what the machine has free now.
  std::size_t memory = 0;
  /// Of the dry engine: whose workspaces it takes, Device::cpu's (with so many threads) or
  /// Device::cuda's.
  Device accounting = Device::cpu;
  /// Of the CUDA engine: this process among those of the machine, each of which has a GPU.
  int local_rank = 0;
};

/// The CPU engine (src/cpu). Its slab is address space reserved once and touched page by page as it
/// is used.
std::unique_ptr<Backend> make_cpu_backend(EngineOptions const& options);

/// The dry engine (src/dry): computes nothing, does the accounting of options.accounting.
/// `memory` 0: without end.
std::unique_ptr<Backend> make_dry_backend(EngineOptions const& options);

}  // namespace lomo

#pragma once
#include <cstdint>
#include <span>

#include "lomo/backend/backend.h"
#include "lomo/model/activations.h"
#include "lomo/model/layers/linear.h"
#include "lomo/model/spec.h"
#include "lomo/parallel/weight_gatherer.h"

namespace lomo {

/// What the layers of one block share in a pass.
struct LayerContext {
  Backend& backend;
  WeightGatherer& gatherer;
  LayerSpec spec;
  DType dtype;
  DeviceBatch const& batch;
  Tensor inv_freq;  // (R/2) f32
  /// The last block of a pass: M = N' rows, those that reach a target, query and leave the block;
  /// keys and values are of all N rows. Otherwise M = N.
  bool loss_rows_only = false;

  std::int64_t rows() const { return batch.positions.rows(); }  // N
  std::span<std::int64_t const> rows_of_rank() const { return batch.rows_of_rank; }
  Sequences keys() const { return batch.sequences(); }
  Sequences queries() const { return loss_rows_only ? batch.loss_sequences() : keys(); }
  std::span<std::int64_t const> queries_of_rank() const {  // (R) M of each
    return loss_rows_only ? batch.all_loss_rows.of_rank : batch.rows_of_rank;
  }

  /// (M,cols), a row for each that leaves the block.
  Buffer make(std::int64_t cols, char const* what) const {
    return backend.allocate(Shape(queries().positions.rows(), cols), dtype, Category::activations,
                            what);
  }
  /// (N,cols), a row for each that enters it.
  Buffer make_full(std::int64_t cols, char const* what) const {
    return backend.allocate(Shape(rows(), cols), dtype, Category::activations, what);
  }
  /// f32 figures of each row: (N), or (N,cols).
  Buffer make_stats(Shape shape, char const* what) const {
    return backend.allocate(shape, DType::f32, Category::activations, what);
  }
  /// mid (M,C) = x (M,C) + residual_scale * linear(in).
  void add_branch(Linear const& linear, Tensor mid, Tensor in, Tensor x) const {
    if (spec.residual_scale == 1) return linear.forward(gatherer, mid, in, x);
    linear.forward(gatherer, mid, in);
    backend.scale(mid, mid, spec.residual_scale, x);
  }
  /// The gradient of the branch's linear layer from that of mid: d_mid itself, or its multiple in
  /// `scaled`.
  Tensor branch_gradient(Tensor d_mid, Buffer& scaled) const {
    if (spec.residual_scale == 1) return d_mid;
    scaled = make(d_mid.cols(), "d branch");
    backend.scale(scaled, d_mid, spec.residual_scale);
    return scaled;
  }
  /// The rows of x (N,C) that query: x itself, or a copy of them into `copy`.
  Tensor query_rows(Tensor x, Buffer& copy, char const* what) const {
    if (!loss_rows_only) return x;
    copy = make(x.cols(), what);
    backend.gather_rows(copy, x, batch.loss_rows);
    return copy;
  }
};

/// What is left of a block's intermediates after its forward.
enum class Keep : std::uint8_t {
  nothing,  // free every intermediate, the input too, as soon as it is read for the last time
  input,    // keep a.x only
  all,      // keep what backward reads
  recompute_block,  // the same when the output is known already and is not recomputed
};

inline void free_unless_kept(Keep keep, Buffer& buffer) {
  if (keep != Keep::all && keep != Keep::recompute_block) buffer.reset();
}

}  // namespace lomo

#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/model/activations.h"
#include "lomo/model/config.h"
#include "lomo/model/weights.h"
#include "lomo/optim/gradient_sink.h"
#include "lomo/parallel/weight_gatherer.h"

namespace lomo {

/// What every block of a pass shares.
struct BlockContext {
  Backend& backend;
  WeightGatherer& whole;
  ModelConfig const& config;
  DType dtype;
  DeviceBatch const& batch;
  Tensor inv_freq;  // (D/2) f32
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
};

/// The matrices of a block in the order in which its forward reads them; its backward reads them in
/// the opposite one.
std::vector<Parameter const*> forward_order(BlockWeights const& w);

/// Rows x (M,C) at the places `index` (M) of a zero matrix (n,C).
Buffer spread_rows(Backend& backend, Tensor x, Tensor index, std::int64_t n);

enum class Keep : std::uint8_t {
  nothing,  // free every intermediate, the input too, as soon as it is read for the last time
  input,    // keep a.x only
  all,      // keep what backward reads
  recompute_block,  // the same when the output is known already and is not recomputed
};

/// Keys and values that came before the rows of a pass, for generation. The block appends its own.
struct Past {
  Tensor keys;            // (capacity,GD)
  Tensor values;          // (capacity,GD)
  std::int64_t used = 0;  // rows filled so far
  Sequences rows;         // of the key rows once this pass has appended its own
};

/// One decoder block: x + attention(norm1(x)), then that plus mlp(norm2(.)). Reads a.x and returns
/// the block's output (M,C), none in a recomputation; leaves in `a` what `keep` says.
Buffer block_forward(BlockContext const& ctx, BlockWeights const& w, BlockActivations& a, Keep keep,
                     Past const* past = nullptr);

/// Given dout (M,C), the gradient of the block's output, offers every wanted gradient of the block
/// and returns that of its input (N,C). With `consume` the activations are moved into the offers or
/// overwritten; without, they stay for another backward. When `input_gradient` is false nothing
/// below this block is wanted and the result is empty.
Buffer block_backward(BlockContext const& ctx, BlockWeights& w, BlockActivations& a, Buffer dout,
                      GradientSink& sink, bool consume, bool input_gradient);

}  // namespace lomo

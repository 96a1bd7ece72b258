#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "lomo/model/config.h"
#include "lomo/model/layers/linear.h"
#include "lomo/model/layers/norm.h"
#include "lomo/parallel/parameter.h"

namespace lomo {

/// Name and shape of a tensor of a checkpoint.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> shape;
  /// The weights that lie in it one below the other; empty: it is one itself.
  std::vector<ParameterGroup::Spec> parts = {};
};
/// Every tensor of a model's checkpoint, in checkpoint order, without memory for any.
std::vector<WeightShape> weight_shapes(ModelConfig const& config);

/// The weights of a decoder layer.
struct BlockWeights {
  RmsNorm norm1;                          // (C)
  Linear qkv;                             // ((H+2G)D, C)  queries, keys, values
  std::optional<RmsNorm> q_norm, k_norm;  // (D)
  Linear out;                             // (C, HD)
  RmsNorm norm2;                          // (C)
  Linear gate_up;                         // (2F, C)
  Linear down;                            // (C, F)

  /// In checkpoint order.
  std::vector<ParameterGroup*> groups();
  std::vector<ParameterGroup const*> groups() const;
};

/// All weights of a model, contents undefined until loaded or initialised; of each matrix the rows
/// that belong at `info`. Owns their memory.
struct DecoderWeights {
  DecoderWeights(Backend& backend, ModelConfig const& config, DType dtype, RankInfo info = {});

  ParameterGroup embedding;                 // (V,C)
  std::vector<BlockWeights> blocks;         // L
  RmsNorm norm;                             // (C)
  std::unique_ptr<ParameterGroup> lm_head;  // (V,C); null when tied to the embedding
  std::vector<WeightShape> on_disk;         // as weight_shapes lists them

  ParameterGroup& head() { return lm_head ? *lm_head : embedding; }
  ParameterGroup const& head() const { return lm_head ? *lm_head : embedding; }

  /// The one list of parameters, in checkpoint order: loading, saving, optimizers and counting all
  /// use it.
  std::vector<ParameterGroup*> groups();
};

}  // namespace lomo

#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lomo/model/config.h"
#include "lomo/model/layers/linear.h"
#include "lomo/model/layers/norm.h"
#include "lomo/parallel/parameter.h"

namespace lomo {

struct BlockWeights {
  RmsNorm norm1;   // (C)
  Linear qkv;      // ((H+2G)D, C)  queries, keys, values
  Linear out;      // (C, HD)
  RmsNorm norm2;   // (C)
  Linear gate_up;  // (2F, C)
  Linear down;     // (C, F)

  BlockWeights(Backend& backend, ModelConfig const& config, DType dtype, std::int64_t layer,
               RankInfo info);
  /// In checkpoint order.
  std::vector<ParameterGroup*> groups();
};

/// All weights of a model, contents undefined until loaded or initialised; of each matrix the rows
/// that belong at `info`. Owns their memory.
struct LlamaWeights {
  LlamaWeights(Backend& backend, ModelConfig const& config, DType dtype, RankInfo info = {});

  ParameterGroup embedding;                 // (V,C)
  std::vector<BlockWeights> blocks;         // L
  RmsNorm norm;                             // (C)
  std::unique_ptr<ParameterGroup> lm_head;  // (V,C); null when tied to the embedding

  ParameterGroup& head() { return lm_head ? *lm_head : embedding; }
  ParameterGroup const& head() const { return lm_head ? *lm_head : embedding; }

  /// The one list of parameters, in checkpoint order: loading, saving, optimizers and counting all
  /// use it.
  std::vector<ParameterGroup*> groups();
};

/// Name and shape of every weight of a model, as groups() lists them, without memory for any.
struct WeightShape {
  std::string name;
  std::vector<std::int64_t> shape;
};
std::vector<WeightShape> weight_shapes(ModelConfig const& config);

}  // namespace lomo

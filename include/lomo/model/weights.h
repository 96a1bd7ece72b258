#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "lomo/model/config.h"
#include "lomo/parallel/parameter.h"

namespace lomo {

struct BlockWeights {
  ParameterGroup norm1;    // (C)           input_layernorm
  ParameterGroup qkv;      // ((H+2G)D, C)  q_proj, k_proj, v_proj
  ParameterGroup out;      // (C, HD)       o_proj
  ParameterGroup norm2;    // (C)           post_attention_layernorm
  ParameterGroup gate_up;  // (2F, C)       gate_proj, up_proj
  ParameterGroup down;     // (C, F)        down_proj

  BlockWeights(Backend& backend, ModelConfig const& config, DType dtype, std::int64_t layer,
               RankInfo info);

 private:
  BlockWeights(Backend& backend, ModelConfig const& config, DType dtype, std::string const& prefix,
               RankInfo info);
};

/// All weights of a model, contents undefined until loaded or initialised; of each matrix the rows
/// that belong at `info`. Owns their memory.
struct LlamaWeights {
  LlamaWeights(Backend& backend, ModelConfig const& config, DType dtype, RankInfo info = {});

  ParameterGroup embedding;                 // (V,C)  model.embed_tokens
  std::vector<BlockWeights> blocks;         // L
  ParameterGroup norm;                      // (C)    model.norm
  std::unique_ptr<ParameterGroup> lm_head;  // (V,C)  lm_head; null when tied to the embedding

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

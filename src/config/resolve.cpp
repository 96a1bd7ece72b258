#include <algorithm>
#include <cmath>
#include <string>

#include "lomo/config/config.h"
#include "lomo/core/error.h"
#include "names.h"

namespace lomo {

namespace {

constexpr double kHotStochasticLr = 1e-2;  // published rates assume nearest rounding's lost updates
constexpr double kAdamLr = 1e-4;           // LOMO has no per-element scale to make up for it

// Rates above which trained models were made worse (docs/EXPERIMENTS.md, rates.sh).
constexpr double kUnclippedLr = 5e-3;   // lomo, sgd: a 20th of 0.1, for gradients 20 times as large
constexpr double kMomentumShare = 0.3;  // of that with momentum 0.9: the same began at 0.03
constexpr double kAdamwLr = 1e-3;       // with 3e-3, clipped or not
constexpr double kAdalomoLr = 1e-2;     // with 3e-2, clipped or not
constexpr double kTrained = 0.9;        // of the loss of a uniform guess; above it they did no harm

/// What the folder's config says for a key of model.shape.
Json folder_value(ModelConfig const& model, std::string_view key) {
  if (key == "hidden_size") return model.width;
  if (key == "num_hidden_layers") return model.layers;
  if (key == "num_attention_heads") return model.heads;
  if (key == "num_key_value_heads") return model.kv_heads;
  if (key == "head_dim") return model.head_width;
  if (key == "intermediate_size") return model.ffn;
  if (key == "vocab_size") return model.vocab;
  if (key == "max_position_embeddings") return model.context;
  if (key == "rms_norm_eps") return model.norm_eps;
  if (key == "rope_theta") return model.rope_theta;
  if (key == kShapeFamily) return model.family;
  if (key == "attention_bias") return model.qkv_bias && model.out_bias;
  if (key == "mlp_bias") return model.mlp_bias;
  if (key == kShapeWindow) return model.window > 0 ? Json(model.window) : Json();
  if (key == "use_sliding_window") return model.window > 0;
  return model.tied_embeddings;
}

bool same(Json const& a, Json const& b) {
  if (a.is_number_float() || b.is_number_float()) {
    return static_cast<float>(a.get<double>()) == static_cast<float>(b.get<double>());
  }
  return a == b;
}

}  // namespace

void resolve(TrainConfig& config, ModelConfig const& model) {
  if (config.model.shape.is_object()) {
    for (auto const& [key, wanted] : config.model.shape.items()) {
      const Json found = folder_value(model, key);
      if (!same(wanted, found)) {
        throw Error(Exit::usage,
                    "model.shape." + key + " is " + wanted.dump() + ", but " + config.model.path +
                        "/config.json says " + found.dump() +
                        ". Name the right folder in model.path, or correct the shape.");
      }
    }
  }
  if (config.model.strict && !model.unknown_keys.empty()) {
    throw Error(Exit::usage, "model.strict: the key \"" + model.unknown_keys.front() + "\" of " +
                                 config.model.path +
                                 "/config.json is not known, so it may change what the model "
                                 "computes. If it does not, take it out or set model.strict to "
                                 "false.");
  }
  if (!config.model.dtype) config.model.dtype = model.dtype;
  if (*config.model.dtype == DType::f16 && config.gradient_check == GradientCheck::tile) {
    throw Error(
        Exit::usage,
        "gradient_check is \"tile\" and model.dtype f16: fp16 gradients overflow now and then, and "
        "only a check of the whole gradient keeps such a step away from every weight. Set "
        "gradient_check to \"step\", or train in bf16.");
  }
  const bool adalomo = config.optimizer.kind == OptimizerKind::adalomo;  // it bounds each update
  if (!config.clip.norm) config.clip.norm = adalomo ? 0 : 1;
  SaveSection& save = config.save;
  if (save.final_model == FinalModel::best)
    save.keep_best = std::max<std::int64_t>(save.keep_best, 1);
  const bool fused = is_fused(config.optimizer.kind);
  const bool answers = config.spike_guard.action != SpikeAction::off &&
                       config.spike_guard.action != SpikeAction::warn;
  if (answers && fused && config.gradient_check == GradientCheck::tile && config.clip.norm == 0) {
    throw Error(Exit::usage,
                "spike_guard.action \"" +
                    std::string(name_of(config.spike_guard.action, kSpikeActions)) +
                    "\" needs the gradient's norm before any weight changes: set gradient_check to "
                    "\"step\" or clip.norm, or spike_guard.action to \"warn\".");
  }
  if (config.gradient_check == GradientCheck::automatic) {
    const bool needed = *config.model.dtype == DType::f16 || answers || config.clip.norm > 0;
    config.gradient_check = needed ? GradientCheck::step : GradientCheck::tile;
  }
  if (!config.optimizer.rounding) {
    config.optimizer.rounding =
        *config.model.dtype == DType::bf16 ? Rounding::stochastic : Rounding::nearest;
  }
}

std::vector<std::string> warnings(TrainConfig const& config) {
  std::vector<std::string> list;
  OptimizerOptions const& o = config.optimizer;
  const bool sixteen = config.model.dtype == DType::bf16 || config.model.dtype == DType::f16;
  if (o.kind == OptimizerKind::lomo && sixteen && o.rounding == Rounding::stochastic &&
      o.lr > kHotStochasticLr) {
    list.push_back(
        "optimizer.lr is above 1e-2 with stochastic rounding: the published rates (3e-2, 5e-2) go "
        "with nearest rounding, which loses most of each update; about a tenth of them is usual "
        "here.");
  }
  if (sixteen && o.rounding == Rounding::nearest && config.metrics.rounding_every == 0) {
    list.push_back(
        "metrics.rounding_every is 0: nothing will tell how much of each step is lost to rounding "
        "16-bit weights to nearest, which can be most of it. Its default is 10.");
  }
  const bool plain = o.kind == OptimizerKind::lomo || o.kind == OptimizerKind::sgd;
  const bool momentum = o.kind == OptimizerKind::sgd && o.momentum > 0.5;
  const double unclipped = momentum ? kUnclippedLr * kMomentumShare : kUnclippedLr;
  if (plain && config.clip.norm == 0.0 && config.clip.value == 0 && o.lr > unclipped) {
    list.push_back("clip.norm is 0 and optimizer.lr above " +
                   std::string(momentum ? "1.5e-3, with momentum" : "5e-3") +
                   ": at such rates unclipped gradients have ruined models within a dozen steps. "
                   "Set clip.norm to 1, its default.");
  }
  if (o.kind == OptimizerKind::lomo && o.lr < kAdamLr) {
    list.push_back(
        "optimizer.lr is below 1e-4, a size for Adam: LOMO applies the plain gradient and usually "
        "needs 1e-3 to 5e-2.");
  }
  return list;
}

std::string rate_warning(TrainConfig const& config, std::optional<double> loss_before,
                         std::int64_t vocab) {
  const double uniform = std::log(static_cast<double>(vocab));
  if (loss_before && !(*loss_before < kTrained * uniform)) return {};
  OptimizerOptions const& o = config.optimizer;
  if (o.kind == OptimizerKind::adamw && o.lr > kAdamwLr) {
    return "optimizer.lr is above 1e-3: AdamW at 3e-3 made trained models worse within 20 steps, "
           "clipped or not. Usual are 1e-5 to 1e-3.";
  }
  if (o.kind == OptimizerKind::adalomo && o.lr > kAdalomoLr) {
    return "optimizer.lr is above 1e-2: AdaLomo at 3e-2 made trained models worse within 20 steps, "
           "clipped or not. Usual are 5e-4 to 5e-3.";
  }
  return {};
}

}  // namespace lomo

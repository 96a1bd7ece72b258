#include <cmath>

#include "declarations.h"
#include "key_builders.h"
#include "names.h"

namespace lomo::keys {

namespace {

using Out = nlohmann::ordered_json;

const Readers kFused{"optimizer lomo or adalomo",
                     [](TrainConfig const& c) { return is_fused(c.optimizer.kind); }};
const Readers kF16{"model.dtype f16",
                   [](TrainConfig const& c) { return c.model.dtype == DType::f16; }};
const Readers kCuts{"spike_guard.action cut_lr", [](TrainConfig const& c) {
                      return c.spike_guard.action == SpikeAction::cut_lr;
                    }};

/// A power of two that neither it nor its inverse leaves f32.
ConfigKey scale_key(char const* name, double& value, About about) {
  about.values = "a power of 2";
  return make(
      name, "number", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        reader.get(key, value, Range<double>{0x1p-60, 0x1p60});
        int exponent = 0;
        if (std::frexp(value, &exponent) != 0.5) {
          reader.fail(key, "a loss scale must be a power of 2, so that scaling rounds nothing");
        }
      },
      [&value] { return Out(value); });
}

}  // namespace

ConfigSection declare(ClipSection& clip) {
  return {
      "clip",
      /*required=*/false,
      resume_may_change(
          {number(
               "norm", clip.norm, kNotNegative,
               {.meaning = "Exact clipping by the global norm; what it costs is a matter of "
                           "`clip.strategy`. Off, a rate above 5e-3 (with momentum 1.5e-3) is "
                           "warned about for `lomo` and `sgd`, whose steps grow with the gradient",
                .values = "0: off",
                .shown_default = "1 for `lomo`, `sgd`, `adamw`; 0 for `adalomo`"}),
           number("value", clip.value, kNotNegative,
                  {.meaning = "Elementwise clipping, before the norm's coefficient",
                   .values = "0: off"}),
           choice("strategy", clip.strategy, kClipStrategies,
                  {.meaning =
                       "How `lomo` and `adalomo` come to a check of the whole gradient before a "
                       "weight changes. `one_pass` keeps the factors of all gradients from one "
                       "backward, `two_pass` keeps nothing and runs backward twice, `auto` "
                       "keeps those of as many blocks as `memory.budget` has room for, from the "
                       "top down (without a budget: none)",
                   .readers = kFused}),
           integer("kept_blocks", clip.kept_blocks, kCount,
                   {.meaning = "The blocks whose factors are kept. `auto` resolves it once when "
                               "a run starts, for its largest batch; the effective config and "
                               "every checkpoint hold it, so a resumed run goes on the same way",
                    .shown_default = "none"})}),
      {}};
}

ConfigSection declare(GradientCheck& value) {
  return {"",
          false,
          {choice("gradient_check", value, kGradientChecks,
                  {.meaning = "`step` looks at the whole gradient before any weight changes (see "
                              "`clip.strategy`). `tile` saves that look when `clip.norm` is 0, "
                              "which is one backward pass of two: a tile that is not finite is "
                              "kept away from the weights and ends the run with exit code 5, as "
                              "weights before it have changed. `auto` is `step` where something "
                              "needs it (`clip.norm`, `f16`, a `spike_guard.action` that answers), "
                              "else `tile`",
                   .resume_may_change = true})},
          {}};
}

ConfigSection declare(LossScaleSection& loss_scale) {
  return {
      "loss_scale",
      /*required=*/false,
      {scale_key("initial", loss_scale.initial,
                 {.meaning = "`f16` only: what the loss is multiplied by before backward at the "
                             "start. An overflow skips the step, which leaves every bit of "
                             "weights and optimizer as it was, and halves the scale",
                  .values = "a power of 2",
                  .readers = kF16}),
       scale_key("minimum", loss_scale.minimum,
                 {.meaning = "An overflow at this scale ends the run with exit code 5",
                  .values = "a power of 2",
                  .readers = kF16,
                  .resume_may_change = true}),
       integer("window", loss_scale.window, kCount,
               {.meaning = "Applied steps without an overflow after which the scale doubles; 0: "
                           "never, as in the published code, whose scale only falls",
                .readers = kF16,
                .resume_may_change = true}),
       flag("skip_consumes_schedule", loss_scale.skip_consumes_schedule,
            {.meaning = "Whether a step skipped for an overflow counts in the learning rate's "
                        "schedule, as in the published code",
             .readers = kF16})},
      [&loss_scale](JsonReader const& reader) {
        if (loss_scale.minimum > loss_scale.initial) {
          reader.fail("minimum", "above loss_scale.initial: the scale would start below its floor");
        }
      }};
}

ConfigSection declare(SpikeGuardSection& spike_guard) {
  return {
      "spike_guard",
      /*required=*/false,
      {choice("action", spike_guard.action, kSpikeActions,
              {.meaning = "What a spike of the loss or the gradient's norm is answered with, or a "
                          "loss that has risen above its level at the start of the run: a line in "
                          "the log; the step skipped; the rate of this and all later steps "
                          "multiplied by `spike_guard.cut`; or the end of the run with exit code "
                          "5. The last three are decided before any weight changes and need "
                          "`gradient_check: step` or `clip.norm`. The level at the start is the "
                          "loss of the first batch or, where it is larger, of the evaluation "
                          "before training; the last four losses must each lie a quarter above it. "
                          "A rise is told after 1, 2, 4, 8, ... steps, and the rate cut as often",
               .resume_may_change = true}),
       integer("window", spike_guard.window, Range<std::int64_t>{2},
               {.meaning = "Applied steps over which mean and standard deviation are taken; "
                           "saved in checkpoints"}),
       integer(
           "min_steps", spike_guard.min_steps, Range<std::int64_t>{2},
           {.meaning = "No spike is found by fewer; a risen loss is found from the fifth step on",
            .values = "2 to `spike_guard.window`"}),
       number("threshold", spike_guard.threshold, positive<double>(),
              {.meaning = "Standard deviations above the mean, of the norm those of its "
                          "logarithm, that make a spike; a deviation counts as at least a "
                          "hundredth of the mean; and standard errors, by the spread of the "
                          "losses of a batch's targets, that a risen loss lies above the start",
               .resume_may_change = true}),
       number("cut", spike_guard.cut, Range<double>{1e-6, 1.0},
              {.meaning = "`cut_lr`: the factor", .readers = kCuts, .resume_may_change = true})},
      [&spike_guard](JsonReader const& reader) {
        if (spike_guard.min_steps > spike_guard.window) {
          reader.fail("min_steps", "more than spike_guard.window steps are never known");
        }
      }};
}

}  // namespace lomo::keys

#include <algorithm>
#include <cmath>
#include <optional>

#include "declarations.h"
#include "key_builders.h"
#include "names.h"

namespace lomo::keys {

namespace {

using Out = nlohmann::ordered_json;

constexpr char const* kAutomatic = "auto";

template <OptimizerKind kind>
bool is_kind(TrainConfig const& c) {
  return c.optimizer.kind == kind;
}
const Readers kSgd{"optimizer sgd", is_kind<OptimizerKind::sgd>};
const Readers kAdamw{"optimizer adamw", is_kind<OptimizerKind::adamw>};
const Readers kAdalomo{"optimizer adalomo", is_kind<OptimizerKind::adalomo>};
const Readers kDecays{"schedule linear or cosine", [](TrainConfig const& c) {
                        return c.schedule.kind != ScheduleKind::constant;
                      }};

/// A name, how many blocks are recomputed together, or an object that also says how many are not.
ConfigKey recompute_key(std::optional<Recompute>& value, About about) {
  return make(
      "recompute", "text, integer or object", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        Json const* found = reader.raw(key);
        if (found == nullptr) return;
        Recompute given = Recompute::block;
        if (found->is_object()) {
          auto object = reader.object(key);
          object->get("upper", given.upper, kCount);
          object->get("together", given.blocks, kAtLeastOne);
          object->finish();
          value = given;
        } else if (found->is_number()) {
          reader.get(key, given.blocks, kAtLeastOne);
          value = given;
        } else if (*found == kAutomatic) {
          value.reset();
        } else {
          const auto named = std::ranges::find(kRecomputes, *found,
                                               [](auto const& name) { return Json(name.first); });
          if (named == kRecomputes.end()) {
            reader.fail(key,
                        "expected \"auto\", \"none\", \"block\", a number of blocks or an "
                        "object, found " +
                            found->dump());
          }
          value = named->second;
        }
      },
      [&value] {
        if (!value) return Out(kAutomatic);
        if (value->upper > 0) return Out{{"upper", value->upper}, {"together", value->blocks}};
        return value->blocks > 1 ? Out(value->blocks) : Out(name_of(*value, kRecomputes));
      });
}

}  // namespace

ConfigSection declare(TrainSection& train) {
  return {"train",
          /*required=*/false,
          {integer("epochs", train.epochs, kAtLeastOne,
                   {.meaning = "Passes over the training data", .resume_may_change = true}),
           integer("max_steps", train.max_steps, kCount,
                   {.meaning = "Ends the run early; the schedule is laid out over these steps",
                    .values = "0: no cap",
                    .resume_may_change = true}),
           integer("seed", train.seed,
                   {.meaning =
                        "Of shuffles, rounding and sampling. Same config, same seed: same bits"}),
           recompute_key(
               train.recompute,
               {.meaning = "Activation checkpointing, in any form with the same bits. `block` "
                           "keeps only each block's input and runs its forward again in backward: "
                           "less memory, about a third more work. With k only the input of every "
                           "k-th block is kept and k blocks are recomputed together: fewer inputs, "
                           "but what is inside of k blocks at once; `plan --advise` finds the k "
                           "that needs least. `{\"upper\": m}` is `block` for all but the m blocks "
                           "next to the head, of which everything is kept. `auto` chooses m, "
                           "together with `clip.kept_blocks`, so that the largest batch takes the "
                           "least work within `memory.budget` (without a budget: `block`); the "
                           "effective config and every checkpoint hold what was chosen",
                .values = "`auto`, `none`, `block`, a number k of blocks, or an object with "
                          "`upper` and `together` (k)",
                .resume_may_change = true}),
           integer("stop_after_skips", train.stop_after_skips, kAtLeastOne,
                   {.meaning = "Skipped steps in a row (loss or gradient not finite, or "
                               "`spike_guard.action: skip`) that end the run with exit code 5; "
                               "overflows of `f16` do not count, `loss_scale.minimum` ends those",
                    .resume_may_change = true})},
          {}};
}

ConfigSection declare(OptimizerOptions& optimizer) {
  return {
      "optimizer",
      /*required=*/true,
      {choice("name", optimizer.kind, kOptimizers,
              {.meaning = "`lomo` and `adalomo` update during backward and store no gradient; "
                          "`sgd` and `adamw` are the unfused baselines"}),
       number("lr", optimizer.lr, positive<double>(),
              {.meaning =
                   "Peak learning rate. With `clip.norm` 1: LOMO and SGD 1e-3 to 5e-2, in 16 "
                   "bits with stochastic rounding about a tenth of what nearest rounding takes. "
                   "Unclipped a rate from 1e-2 on can ruin a model within a dozen steps "
                   "([EXPERIMENTS.md](EXPERIMENTS.md#rates-with-and-without-clipping)). SGD "
                   "with momentum 0.9 a third of these. AdaLomo 5e-4 to 5e-3, which needs no "
                   "clipping; AdamW 1e-5 to 1e-3, with `clip.norm` 1 or without: from 3e-2 and "
                   "3e-3 on these two made trained models worse whatever clipping did, which is "
                   "warned about above 1e-2 and 1e-3 unless the loss before training is that of "
                   "a model without training",
               .required = true,
               .resume_may_change = true}),
       number("weight_decay", optimizer.weight_decay, kNotNegative,
              {.meaning = "Decoupled, times the learning rate, on every parameter",
               .resume_may_change = true}),
       choice("rounding", optimizer.rounding, kRoundings,
              {.meaning = "How an updated weight returns to its storage type. Nearest is the "
                          "published method and loses most of a 16-bit update; stochastic "
                          "realises all of it on average, so it wants about a tenth of the rate",
               .shown_default = "`stochastic` for bf16, else `nearest`"}),
       number("momentum", optimizer.momentum, kBelowOne, {.meaning = "`sgd`", .readers = kSgd}),
       number("beta1", optimizer.beta1, kBelowOne, {.meaning = "`adamw`", .readers = kAdamw}),
       number("beta2", optimizer.beta2, kBelowOne, {.meaning = "`adamw`", .readers = kAdamw}),
       number("eps", optimizer.eps, positive<double>(), {.meaning = "`adamw`", .readers = kAdamw}),
       number("decay_rate", optimizer.decay_rate, Range<double>{-1.0, 0.0},
              {.meaning = "`adalomo`: the second moment decays by 1 - t^decay_rate",
               .readers = kAdalomo}),
       number("eps1", optimizer.eps1, kNotNegative,
              {.meaning = "`adalomo`: added to squared gradients", .readers = kAdalomo}),
       number("eps2", optimizer.eps2, kNotNegative,
              {.meaning = "`adalomo`: least root mean square of a weight that scales its update",
               .readers = kAdalomo}),
       number("clip_threshold", optimizer.clip_threshold, positive<double>(),
              {.meaning = "`adalomo`: largest root mean square of an update before scaling",
               .readers = kAdalomo})},
      {}};
}

ConfigSection declare(ScheduleSection& schedule) {
  return {
      "schedule", /*required=*/false,
      resume_may_change(
          {choice("kind", schedule.kind, kSchedules,
                  {.meaning = "Learning rate after the warm-up; the last two fall to "
                              "`schedule.final` ([picture](schedules.svg))"}),
           number("warmup", schedule.warmup, kNotNegative,
                  {.meaning = "The rate rises in proportion until the end of these steps, of "
                              "which the last has the peak. `1` is one step",
                   .values = "below 1 a share of the run, from 1 on whole steps"}),
           number("final", schedule.final, Range<double>{0.0, 1.0},
                  {.meaning = "Share of the peak that the rate would reach at the step after "
                              "the last, so that no step is wasted; after the warm-up these are "
                              "the rates of transformers' schedules",
                   .readers = kDecays}),
           flag("published", schedule.published,
                {.meaning =
                     "Count steps as the published LOMO does: its linear and cosine "
                     "schedules end on a step of rate 0, and a warm-up is at most the run"})}),
      [&schedule](JsonReader const& reader) {
        if (schedule.warmup >= 1 && schedule.warmup != std::floor(schedule.warmup)) {
          reader.fail("warmup", "expected a share of the run below 1, or a whole number of steps");
        }
        if (schedule.published && schedule.final > 0) {
          reader.fail("final", "the published schedule ends at 0; leave out one of the two keys");
        }
      }};
}

}  // namespace lomo::keys

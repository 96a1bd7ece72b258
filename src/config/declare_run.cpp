#include "declarations.h"
#include "key_builders.h"
#include "names.h"

namespace lomo::keys {

namespace {

constexpr Range<std::int64_t> kKept{0, 1000000000};  // far from overflow when added up
const Readers kSampled{"data.samples",
                       [](TrainConfig const& c) { return !c.data.samples.empty(); }};

}  // namespace

ConfigSection declare(MetricsSection& metrics) {
  return {"metrics",
          /*required=*/false,
          resume_may_change({integer(
              "rounding_every", metrics.rounding_every, kCount,
              {.meaning = "16-bit runs: every so many steps `metrics.jsonl` says, and at the "
                          "end of a run the closing table, which share of the elements that f32 "
                          "weights would have changed did change (`changed`) and which share of "
                          "the intended step was realised (`realised`)",
               .values = "0: never"})}),
          {}};
}

ConfigSection declare(MemorySection& memory) {
  return {
      "memory", /*required=*/false,
      resume_may_change(
          {size("budget", memory.budget,
                {.meaning = "Most engine memory; a run that needs more ends with exit code 3",
                 .values = "bytes or `\"24GiB\"`; 0: what the machine has free"}),
           size("tile_bytes", memory.tile_bytes,
                {.meaning =
                     "Gradient tile of the fused update: all the gradient that ever exists, but "
                     "for a second tile on a GPU, which computes one while the other is applied"}),
           integer("head_block_rows", memory.head_block_rows, kAtLeastOne,
                   {.meaning = "Vocabulary rows whose logits exist at once"}),
           integer(
               "head_chunk_rows", memory.head_chunk_rows, kAtLeastOne,
               {.meaning =
                    "On ranks: rows of all ranks together that go through the head at once, and "
                    "whose gradients are sent back together. Alone a batch's rows go at once"}),
           size("keep_logits_bytes", memory.keep_logits_bytes,
                {.meaning = "Logits of a batch are kept for backward when they fit in this"})}),
      [&memory](JsonReader const& reader) {
        if (memory.tile_bytes == 0) reader.fail("tile_bytes", "a tile holds at least one row");
      }};
}

ConfigSection declare(RanksSection& ranks) {
  return {"ranks",
          /*required=*/false,
          resume_may_change(
              {choice("comm_dtype", ranks.comm_dtype, kCommDtypes,
                      {.meaning = "What a rank's part of a gradient is rounded to, once, on its "
                                  "way to the rank that owns the rows and sums the parts in f32",
                       .shown_default = "`bf16`"})}),
          {}};
}

ConfigSection declare(EvalSection& eval) {
  return {"eval",
          /*required=*/false,
          resume_may_change(
              {flag("before", eval.before, {.meaning = "Evaluate before the first step"}),
               flag("at_end", eval.at_end, {.meaning = "Evaluate after the last step"}),
               integer("every_steps", eval.every_steps, kCount,
                       {.meaning = "Evaluate after every so many steps", .values = "0: never"}),
               integer("every_epochs", eval.every_epochs, kCount,
                       {.meaning = "Evaluate after every so many epochs", .values = "0: never"}),
               choice("score", eval.score, kScores,
                      {.meaning =
                           "Rank candidates by the sum (the published code) or the mean (the "
                           "paper's text) of the log-probabilities of answer and end of sequence",
                       .readers = kSuperglue}),
               integer("max_tokens", eval.max_tokens, kAtLeastOne,
                       {.meaning = "Tokens of an evaluation batch; a longer sequence goes alone"}),
               integer("generate_examples", eval.generate_examples, kCount,
                       {.meaning =
                            "`jsonl`, `chat`: so many answers (of a conversation the last one) "
                            "are also written by the model, greedily, at every evaluation: the "
                            "first whose right answer has at most 64 tokens, each up to 8 tokens "
                            "longer than that. Gives the metric `exact_match`, a percentage, and "
                            "the predictions in `predictions/<tag>/predictions.jsonl`. On "
                            "several ranks they write one each at the same time",
                        .values = "0: none"}),
               integer("sample_tokens", eval.sample_tokens, kAtLeastOne,
                       {.meaning = "Most tokens of an answer to a prompt of `data.samples`",
                        .readers = kSampled})}),
          {}};
}

ConfigSection declare(SaveSection& save) {
  return {
      "save", /*required=*/false,
      resume_may_change(
          {integer("every_steps", save.every_steps, kCount,
                   {.meaning = "Write a checkpoint that `--resume` continues from after every "
                               "so many steps. One is also written when the run is stopped "
                               "(Ctrl-C, SIGTERM, SIGUSR1, SIGHUP) and, when checkpoints are on "
                               "or `save.final_model` is `none`, after the last step",
                    .values = "0: never"}),
           number("every_minutes", save.every_minutes, kNotNegative,
                  {.meaning = "The same by the clock, counted from the last checkpoint",
                   .values = "0: never"}),
           integer("keep_last", save.keep_last, kKept,
                   {.meaning = "So many of the newest checkpoints stay; older ones are removed "
                               "after a new one is on disk",
                    .values = "0: all"}),
           integer("keep_every", save.keep_every, kKept,
                   {.meaning = "Those whose step is a multiple of this stay as well",
                    .values = "0: no more"}),
           integer("keep_best", save.keep_best, kKept,
                   {.meaning = "So many of the best stay as well; checkpoints of steps without "
                               "an evaluation are not judged",
                    .values = "0: no more"}),
           text("best_metric", save.best_metric,
                {.meaning = "What `save.keep_best` and `save.final_model` `best` compare: "
                            "`loss` and `perplexity` by the smaller value, all others by the "
                            "larger. One that the task does not have is an error",
                 .values = "`loss`, `perplexity`, of `jsonl` and `chat` also `exact_match` (for "
                           "answers of one right wording); of the SuperGLUE tasks `accuracy`, "
                           "of some also `score`, `f1`, `f1a`, `em`",
                 .shown_default = "the task's first"}),
           choice("final_model", save.final_model, kFinalModels,
                  {.meaning = "What becomes `model/` of the run folder: the model after the last "
                              "step, or that of the best evaluation. `best` writes a checkpoint "
                              "after each evaluation that is the best so far, and keeps at least "
                              "one of the best; it needs evaluations before the last step. The "
                              "best evaluation and its checkpoint are named at the end"}),
           size("shard_size", save.shard_size,
                {.meaning = "Largest safetensors file; bigger models are split, with an index"})}),
      [&save](JsonReader const& reader) {
        if (save.shard_size == 0) reader.fail("shard_size", "a shard holds at least one tensor");
      }};
}

ConfigSection declare_output(std::string& output) {
  return {"",
          false,
          resume_may_change({path("output", output,
                                  {.meaning = "The run folder; `--output` sets it too",
                                   .values = "a new or empty folder",
                                   .shown_default = "`runs/<config>-<time>`"})}),
          {}};
}

}  // namespace lomo::keys

#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/conversation.h"
#include "lomo/data/data_statistics.h"
#include "lomo/data/subset.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/json.h"
#include "lomo/model/config.h"
#include "lomo/model/decoder.h"
#include "lomo/optim/optimizer_options.h"

namespace lomo {

/// One training run, as its JSON file says; one struct a section. docs/CONFIG.md describes every
/// key. Empty optionals are resolved by `resolve` when the checkpoint is known.
struct ModelSection {
  std::string path;            // Hugging Face folder
  std::optional<DType> dtype;  // storage type of the run; none: the checkpoint's own
  Json shape;                  // keys of a config.json the folder must agree with; null: none
  TokenizerFile tokenizer = TokenizerFile::automatic;
  bool strict = false;  // keys of its config.json that nobody knows are errors
};

struct DataSection {
  std::string task;  // boolq ... wsc, jsonl, chat, text, ids
  std::vector<std::string> train, validation;
  std::vector<double> repeats;  // how often each file of `train` is in the data
  double validation_share = 0;  // of train, cut off when no validation file is named
  std::string prompt_field = "prompt", answer_field = "answer", text_field = "text";
  std::string passage_field;       // jsonl: what truncation may cut; empty: the prompt's start
  std::string document_separator;  // plain text; empty: a file is one document
  std::string prompts;             // template file; empty: the shipped one
  std::string samples;             // file of prompts that the model answers at each evaluation
  std::string chat_template;       // chat: a file or a built-in name; empty: the model folder's
  ChatFormat format = ChatFormat::automatic;
  LossOn loss_on = LossOn::all_answers;
  bool parse_special = false;  // special tokens that a text spells out are tokens
  std::int64_t max_length = 1024;
  TooLong too_long = TooLong::error;
  std::int64_t train_examples = 0, eval_examples = 0;  // 0: all
  Subset sampling = Subset::published;
  std::string cache = "auto";  // where encoded data are kept: "auto", "off", or a folder
};

struct BatchSection {
  std::int64_t sequences = 16;  // 0: as many as max_tokens allows
  std::int64_t max_tokens = 0;  // 0: no cap
};

struct TrainSection {
  std::int64_t epochs = 1;
  std::int64_t max_steps = 0;  // 0: no cap
  std::uint64_t seed = 42;
  /// Not set: as memory allows, resolved once at the start of the run; see resolve_kept.
  std::optional<Recompute> recompute;
  std::int64_t stop_after_skips = 20;  // skipped steps in a row that end the run as diverged
};

/// How the learning rate goes on after the warm-up; see Schedule.
enum class ScheduleKind : std::uint8_t { constant, linear, cosine };

struct ScheduleSection {
  ScheduleKind kind = ScheduleKind::linear;
  double warmup = 0;       // below 1 a share of the run, from 1 on steps
  double final = 0;        // share of the peak that the rate reaches after the last step
  bool published = false;  // the published LOMO's count of steps
};

/// How the check of a whole gradient (its norm, whether it is finite) comes before the update.
enum class ClipStrategy : std::uint8_t {
  automatic,  // kept_blocks as memory allows, resolved once at the start of the run
  one_pass,   // keep the factors of all gradients from one backward
  two_pass,   // keep none: a norm pass first
};

struct ClipSection {
  std::optional<double> norm;  // 0: off; none: 1, for adalomo 0
  double value = 0;            // 0: off
  ClipStrategy strategy = ClipStrategy::automatic;
  /// Blocks whose factors are kept, from the top down; the rest is run twice. None: not resolved.
  std::optional<std::int64_t> kept_blocks;
};

/// What must be known before a weight changes.
enum class GradientCheck : std::uint8_t {
  automatic,  // resolved: `step` where something needs it, else `tile`
  step,       // the whole gradient is finite: a norm pass first
  tile,       // the tile is finite
};

/// fp16 runs only; see LossScaler.
struct LossScaleSection {
  double initial = 65536, minimum = 1;  // powers of two
  std::int64_t window = 1000;           // clean steps until it doubles; 0: never
  bool skip_consumes_schedule = false;  // whether a step skipped for an overflow counts in it
};

/// What a spike of loss or gradient norm is answered with.
enum class SpikeAction : std::uint8_t {
  off,
  warn,
  skip,    // the step, before any weight changes
  cut_lr,  // of this step and all later ones
  stop,    // the run, before any weight changes, with Exit::diverged
};

/// See SpikeGuard.
struct SpikeGuardSection {
  SpikeAction action = SpikeAction::warn;
  std::int64_t window = 100;    // applied steps that a step is compared with
  std::int64_t min_steps = 20;  // fewer are not judged by
  double threshold = 6;         // standard deviations
  double cut = 0.5;             // factor of cut_lr
};

struct MetricsSection {
  std::int64_t rounding_every = 10;  // steps between measurements of 16-bit rounding; 0: never
};

struct MemorySection {
  std::size_t budget = 0;  // 0: what the machine has free
  std::size_t tile_bytes = 8u << 20;
  std::int64_t head_block_rows = 4096;
  std::int64_t head_chunk_rows = 4096;  // on ranks
  std::size_t keep_logits_bytes = 64u << 20;
};

/// Of runs on several ranks.
struct RanksSection {
  DType comm_dtype = DType::bf16;  // what gradients are sent as
};

enum class Score : std::uint8_t { sum, mean };

struct EvalSection {
  bool before = true, at_end = true;
  std::int64_t every_steps = 0, every_epochs = 0;  // 0: never
  Score score = Score::sum;
  std::int64_t max_tokens = 4096;
  std::int64_t generate_examples = 64;  // free answers that the model writes; 0: none
  std::int64_t sample_tokens = 128;     // of an answer to a prompt of data.samples
};

/// What becomes model/ of the run folder.
enum class FinalModel : std::uint8_t {
  last,  // the model after the last step
  best,  // that of the best evaluation by save.best_metric
  none,
};

struct SaveSection {
  std::int64_t every_steps = 0;  // 0: never by steps
  double every_minutes = 0;      // 0: never by the clock
  std::int64_t keep_last = 2;    // 0: all
  std::int64_t keep_every = 0;   // also those of every so many steps; 0: no more
  std::int64_t keep_best = 0;    // also so many of the best
  std::string best_metric;       // empty: the task's first
  FinalModel final_model = FinalModel::last;
  std::size_t shard_size = std::size_t{5} << 30;
};

struct TrainConfig {
  ModelSection model;
  DataSection data;
  BatchSection batch;
  TrainSection train;
  OptimizerOptions optimizer;
  ScheduleSection schedule;
  ClipSection clip;
  GradientCheck gradient_check = GradientCheck::automatic;
  LossScaleSection loss_scale;
  SpikeGuardSection spike_guard;
  MetricsSection metrics;
  MemorySection memory;
  RanksSection ranks;
  EvalSection eval;
  SaveSection save;
  std::string output;  // run folder; empty: runs/<name>-<time>
};

/// Reads a config strictly. Throws Error(Exit::usage) that names the file and the JSON pointer:
/// unknown keys with the nearest known one, wrong types, values out of range, and gradient
/// accumulation, which a fused update cannot do. `where` is the file's name in messages.
TrainConfig parse_config(Json const& json, std::string const& where);

/// Sets "a.b=value" (value JSON or else text) of each override. Throws Error(Exit::usage) on one
/// that is not of that form.
void apply_overrides(Json& json, std::vector<std::string> const& overrides);

/// Reads a JSON file and applies `overrides` to it.
Json read_config_file(std::filesystem::path const& file, std::vector<std::string> const& overrides);

/// A file as named, or a shipped config of that name in one of `shipped` folders.
std::filesystem::path find_config(std::string const& name,
                                  std::vector<std::filesystem::path> const& shipped);

/// Every key, defaults included; parse_config reads it back to the same config.
nlohmann::ordered_json to_json(TrainConfig const& config);

/// Resolves what depends on the checkpoint or the optimizer: dtype, rounding, clip.norm, and
/// save.keep_best where the best model is to be the final one. Refuses a model.shape that differs
/// from the folder's, and what needs a gradient check before the update (fp16, a guard that skips)
/// without one.
void resolve(TrainConfig& config, ModelConfig const& model);

/// Settings that are legal and probably not meant, one sentence each.
std::vector<std::string> warnings(TrainConfig const& config);
/// A warning of a rate that made trained models worse whatever clipping did, or nothing. Models
/// that do hardly better than a uniform guess take higher rates: `loss_before` is what the
/// evaluation before training gave, nats a token, if it did.
std::string rate_warning(TrainConfig const& config, std::optional<double> loss_before,
                         std::int64_t vocab);

std::string_view to_string(OptimizerKind kind);
std::string_view to_string(SpikeAction action);
std::string_view to_string(ScheduleKind kind);

/// The largest binary unit that divides it: "8MiB".
std::string format_bytes(std::size_t bytes);

}  // namespace lomo

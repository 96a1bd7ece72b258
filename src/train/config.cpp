#include "lomo/train/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <utility>

#include "lomo/core/error.h"
#include "names.h"

namespace lomo {

namespace {

constexpr Range<std::int64_t> kCount{0};
constexpr Range<std::int64_t> kAtLeastOne{1};
constexpr Range<std::int64_t> kKept{0, 1000000000};  // far from overflow when added up
constexpr Range<double> kNotNegative{0.0};
constexpr Range<double> kBelowOne{0.0, 1 - 0x1p-53};  // the last number below 1

/// A path or a list of paths.
void get_paths(JsonReader& reader, std::string_view key, std::vector<std::string>& paths) {
  Json const* value = reader.raw(key);
  if (value == nullptr) return;
  if (value->is_string()) {
    paths = {value->get<std::string>()};
  } else {
    reader.get(key, paths);
  }
  for (std::string const& path : paths) {
    if (path.empty()) reader.fail(key, "a path is empty");
  }
}

/// Paths, or objects of a path and how often the file is in the data.
void get_files(JsonReader& reader, std::string_view key, std::vector<std::string>& paths,
               std::vector<double>& repeats) {
  Json const* value = reader.raw(key);
  const auto is_object = [](Json const& item) { return item.is_object(); };
  const bool objects =
      value != nullptr &&
      (value->is_object() || (value->is_array() && std::ranges::any_of(*value, is_object)));
  if (!objects) {
    get_paths(reader, key, paths);
    repeats.assign(paths.size(), 1.0);
    return;
  }
  const Json list = value->is_array() ? *value : Json::array({*value});
  for (std::size_t i = 0; i < list.size(); ++i) {
    std::string path;
    double repeat = 1;
    if (list[i].is_object()) {
      JsonReader file(list[i], reader.where(), reader.exit(),
                      reader.pointer() + "/" + std::string(key) + "/" + std::to_string(i));
      file.require("path");
      file.get("path", path);
      file.get("repeat", repeat, Range<double>{std::numeric_limits<double>::denorm_min(), 1e6});
      file.finish();
    } else if (list[i].is_string()) {
      path = list[i].get<std::string>();
    }
    if (path.empty()) reader.fail(key, "expected paths, or {\"path\", \"repeat\"}");
    paths.push_back(path);
    repeats.push_back(repeat);
  }
}

/// Gradient accumulation under any of its usual names, anywhere in the file.
void refuse_accumulation(Json const& json, std::string const& where, std::string const& pointer) {
  if (!json.is_object()) return;
  for (auto const& [key, value] : json.items()) {
    const std::string at = pointer + "/" + key;
    if (key.starts_with("gradient_accumulation") || key.starts_with("accumulate_grad")) {
      throw Error(Exit::usage,
                  where + ": " + at +
                      ": there is no gradient accumulation: a fused update applies each gradient "
                      "during backward and cannot add it up over several. A bigger batch is a "
                      "longer ragged batch: raise batch.sequences (train.recompute \"block\" keeps "
                      "its memory small).");
    }
    refuse_accumulation(value, where, at);
  }
}

/// Keys of before the first release, by JSON pointer, and what they are called now.
constexpr std::array<std::pair<char const*, char const*>, 3> kRenamedKeys{{
    {"/protect", "gradient_check"},
    {"/guard", "spike_guard, and its least_steps min_steps"},
    {"/ranks/wire", "ranks.comm_dtype"},
}};

void refuse_renamed(Json const& json, std::string const& where) {
  for (auto const& [pointer, name] : kRenamedKeys) {
    if (json.contains(Json::json_pointer(pointer))) {
      throw Error(Exit::usage, where + ": " + pointer + ": this key is now called " + name);
    }
  }
}

void read_shape(JsonReader shape) {
  std::int64_t count = 0;
  double number = 0;
  bool flag = false;
  for (const std::string_view key : kShapeCounts) shape.get(key, count, kAtLeastOne);
  for (const std::string_view key : kShapeNumbers) shape.get(key, number, positive<double>());
  shape.get(kShapeTied, flag);
  shape.finish();
}

void read(JsonReader reader, ModelSection& model) {
  reader.require("path");
  reader.get("path", model.path);
  if (model.path.empty()) reader.fail("path", "the path is empty");
  std::optional<std::string> type;
  reader.get("dtype", type);
  if (type) {
    model.dtype = parse_dtype(*type);
    const bool weights = model.dtype && (*model.dtype == DType::f32 ||
                                         *model.dtype == DType::bf16 || *model.dtype == DType::f16);
    if (!weights) {
      reader.fail("dtype", "expected \"f32\", \"bf16\" or \"f16\", found \"" + *type + "\"");
    }
  }
  if (Json const* shape = reader.raw("shape"); shape != nullptr && !shape->is_null()) {
    model.shape = *shape;
    read_shape(*reader.object("shape"));
  }
  reader.get("tokenizer", model.tokenizer, kTokenizerFiles);
  reader.finish();
}

void read(JsonReader reader, DataSection& data) {
  reader.require("task");
  reader.get("task", data.task);
  if (std::find(kTasks.begin(), kTasks.end(), data.task) == kTasks.end()) {
    std::string list;
    for (const std::string_view task : kTasks) list += " " + std::string(task);
    reader.fail("task", "expected one of" + list + ", found \"" + data.task + "\"");
  }
  get_files(reader, "train", data.train, data.repeats);
  get_paths(reader, "validation", data.validation);
  reader.get("validation_share", data.validation_share, kBelowOne);
  reader.get("prompt_field", data.prompt_field);
  reader.get("answer_field", data.answer_field);
  reader.get("text_field", data.text_field);
  reader.get("passage_field", data.passage_field);
  reader.get("document_separator", data.document_separator);
  reader.get("prompts", data.prompts);
  reader.get("samples", data.samples);
  reader.get("template", data.chat_template);
  reader.get("format", data.format, kChatFormats);
  reader.get("loss_on", data.loss_on, kLossOn);
  reader.get("parse_special", data.parse_special);
  reader.get("max_length", data.max_length, Range<std::int64_t>{2});
  reader.get("too_long", data.too_long, kTooLong);
  reader.get("train_examples", data.train_examples, kCount);
  reader.get("eval_examples", data.eval_examples, kCount);
  reader.get("sampling", data.sampling, kSubsets);
  reader.get("cache", data.cache);
  if (data.cache.empty()) reader.fail("cache", "expected \"auto\", \"off\" or a folder");
  if (!data.validation.empty() && data.validation_share > 0) {
    reader.fail("validation_share", "data.validation names files already; give one of the two");
  }
  reader.finish();
}

void read(JsonReader reader, BatchSection& batch) {
  reader.get("sequences", batch.sequences, kCount);
  reader.get("max_tokens", batch.max_tokens, kCount);
  if (batch.sequences == 0 && batch.max_tokens == 0) {
    reader.fail("sequences", "0 leaves the size of a batch to batch.max_tokens, which is 0 too");
  }
  reader.finish();
}

/// A name, or how many blocks are recomputed together.
void get_recompute(JsonReader& reader, Recompute& recompute) {
  Json const* value = reader.raw("recompute");
  if (value == nullptr) return;
  if (value->is_number()) {
    reader.get("recompute", recompute.blocks, kAtLeastOne);
    return;
  }
  for (auto const& [name, meaning] : kRecomputes) {
    if (*value != name) continue;
    recompute = meaning;
    return;
  }
  reader.fail("recompute",
              "expected \"none\", \"block\" or a number of blocks, found " + value->dump());
}

void read(JsonReader reader, TrainSection& train) {
  reader.get("epochs", train.epochs, kAtLeastOne);
  reader.get("max_steps", train.max_steps, kCount);
  reader.get("seed", train.seed);
  get_recompute(reader, train.recompute);
  reader.get("stop_after_skips", train.stop_after_skips, kAtLeastOne);
  reader.finish();
}

void read(JsonReader reader, OptimizerSection& optimizer) {
  reader.get("name", optimizer.name, kOptimizers);
  reader.require("lr");
  reader.get("lr", optimizer.lr, positive<double>());
  reader.get("weight_decay", optimizer.weight_decay, kNotNegative);
  if (Json const* value = reader.raw("rounding"); value != nullptr && !value->is_null()) {
    Rounding rounding = Rounding::nearest;
    reader.get("rounding", rounding, kRoundings);
    optimizer.rounding = rounding;
  }
  reader.get("momentum", optimizer.momentum, kBelowOne);
  reader.get("beta1", optimizer.beta1, kBelowOne);
  reader.get("beta2", optimizer.beta2, kBelowOne);
  reader.get("eps", optimizer.eps, positive<double>());
  reader.get("decay_rate", optimizer.decay_rate, Range<double>{-1.0, 0.0});
  reader.get("eps1", optimizer.eps1, kNotNegative);
  reader.get("eps2", optimizer.eps2, kNotNegative);
  reader.get("clip_threshold", optimizer.clip_threshold, positive<double>());
  reader.finish();
}

void read(JsonReader reader, ScheduleSection& schedule) {
  reader.get("kind", schedule.kind, kSchedules);
  reader.get("warmup", schedule.warmup, kNotNegative);
  if (schedule.warmup >= 1 && schedule.warmup != std::floor(schedule.warmup)) {
    reader.fail("warmup", "expected a share of the run below 1, or a whole number of steps");
  }
  reader.get("final", schedule.final, Range<double>{0.0, 1.0});
  reader.get("published", schedule.published);
  if (schedule.published && schedule.final > 0) {
    reader.fail("final", "the published schedule ends at 0; leave out one of the two keys");
  }
  reader.finish();
}

void read(JsonReader reader, ClipSection& clip) {
  reader.get("norm", clip.norm, kNotNegative);  // null: as if it were not there
  reader.get("value", clip.value, kNotNegative);
  reader.get("strategy", clip.strategy, kClipStrategies);
  if (Json const* kept = reader.raw("kept_blocks"); kept != nullptr && !kept->is_null()) {
    std::int64_t blocks = 0;
    reader.get("kept_blocks", blocks, kCount);
    clip.kept_blocks = blocks;
  }
  reader.finish();
}

/// A power of two that neither it nor its inverse leaves f32.
void get_scale(JsonReader& reader, std::string_view key, double& scale) {
  reader.get(key, scale, Range<double>{0x1p-60, 0x1p60});
  int exponent = 0;
  if (std::frexp(scale, &exponent) != 0.5) {
    reader.fail(key, "a loss scale must be a power of 2, so that scaling rounds nothing");
  }
}

void read(JsonReader reader, LossScaleSection& scale) {
  get_scale(reader, "initial", scale.initial);
  get_scale(reader, "minimum", scale.minimum);
  reader.get("window", scale.window, kCount);
  reader.get("skip_consumes_schedule", scale.skip_consumes_schedule);
  if (scale.minimum > scale.initial) {
    reader.fail("minimum", "above loss_scale.initial: the scale would start below its floor");
  }
  reader.finish();
}

void read(JsonReader reader, SpikeGuardSection& spike_guard) {
  reader.get("action", spike_guard.action, kSpikeActions);
  reader.get("window", spike_guard.window, Range<std::int64_t>{2});
  reader.get("min_steps", spike_guard.min_steps, Range<std::int64_t>{2});
  reader.get("threshold", spike_guard.threshold, positive<double>());
  reader.get("cut", spike_guard.cut, Range<double>{1e-6, 1.0});
  if (spike_guard.min_steps > spike_guard.window) {
    reader.fail("min_steps", "more than spike_guard.window steps are never known");
  }
  reader.finish();
}

void read(JsonReader reader, MetricsSection& metrics) {
  reader.get("rounding_every", metrics.rounding_every, kCount);
  reader.finish();
}

void read(JsonReader reader, MemorySection& memory) {
  reader.get_bytes("budget", memory.budget);
  reader.get_bytes("tile_bytes", memory.tile_bytes);
  if (memory.tile_bytes == 0) reader.fail("tile_bytes", "a tile holds at least one row");
  reader.get("head_block_rows", memory.head_block_rows, kAtLeastOne);
  reader.get("head_chunk_rows", memory.head_chunk_rows, kAtLeastOne);
  reader.get_bytes("keep_logits_bytes", memory.keep_logits_bytes);
  reader.finish();
}

void read(JsonReader reader, RanksSection& ranks) {
  reader.get("comm_dtype", ranks.comm_dtype, kCommDtypes);
  reader.finish();
}

void read(JsonReader reader, EvalSection& eval) {
  reader.get("before", eval.before);
  reader.get("at_end", eval.at_end);
  reader.get("every_steps", eval.every_steps, kCount);
  reader.get("every_epochs", eval.every_epochs, kCount);
  reader.get("score", eval.score, kScores);
  reader.get("max_tokens", eval.max_tokens, kAtLeastOne);
  reader.get("generate_examples", eval.generate_examples, kCount);
  reader.get("sample_tokens", eval.sample_tokens, kAtLeastOne);
  reader.finish();
}

void read(JsonReader reader, SaveSection& save) {
  reader.get("every_steps", save.every_steps, kCount);
  reader.get("every_minutes", save.every_minutes, kNotNegative);
  reader.get("keep_last", save.keep_last, kKept);
  reader.get("keep_every", save.keep_every, kKept);
  reader.get("keep_best", save.keep_best, kKept);
  reader.get("best_metric", save.best_metric);
  reader.get("final_model", save.final_model, kFinalModels);
  reader.get_bytes("shard_size", save.shard_size);
  if (save.shard_size == 0) reader.fail("shard_size", "a shard holds at least one tensor");
  reader.finish();
}

template <class Section>
void read_section(JsonReader& reader, std::string_view key, Section& section) {
  if (auto inner = reader.object(key)) read(std::move(*inner), section);
}

}  // namespace

TrainConfig parse_config(Json const& json, std::string const& where) {
  JsonReader reader(json, where);
  refuse_accumulation(json, where, "");
  refuse_renamed(json, where);
  TrainConfig config;
  for (const std::string_view section : {"model", "data", "optimizer"}) reader.require(section);
  read_section(reader, "model", config.model);
  read_section(reader, "data", config.data);
  read_section(reader, "batch", config.batch);
  read_section(reader, "train", config.train);
  read_section(reader, "optimizer", config.optimizer);
  read_section(reader, "schedule", config.schedule);
  read_section(reader, "clip", config.clip);
  reader.get("gradient_check", config.gradient_check, kGradientChecks);
  read_section(reader, "loss_scale", config.loss_scale);
  read_section(reader, "spike_guard", config.spike_guard);
  read_section(reader, "metrics", config.metrics);
  read_section(reader, "memory", config.memory);
  read_section(reader, "ranks", config.ranks);
  read_section(reader, "eval", config.eval);
  read_section(reader, "save", config.save);
  reader.get("output", config.output);
  reader.finish();
  return config;
}

}  // namespace lomo

#include <cmath>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/train/config.h"
#include "names.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

void apply_override(Json& json, std::string const& text) {
  const std::size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    throw Error(Exit::usage, "--set " + text +
                                 ": expected key.key=value, as in "
                                 "--set optimizer.lr=0.003");
  }
  const std::string written = text.substr(equals + 1);
  Json value = json_or_nothing(written, "--set " + text.substr(0, equals), Exit::usage)
                   .value_or(Json(written));
  Json* at = &json;
  std::size_t begin = 0;
  while (begin <= equals) {
    const std::size_t end = std::min(text.find('.', begin), equals);
    const std::string key = text.substr(begin, end - begin);
    if (key.empty()) throw Error(Exit::usage, "--set " + text + ": a key is empty");
    if (!at->is_object() && !at->is_null()) {
      throw Error(Exit::usage, "--set " + text + ": \"" + text.substr(0, begin - 1) +
                                   "\" is a value, it has no keys");
    }
    at = &(*at)[key];
    begin = end + 1;
  }
  *at = std::move(value);
}

}  // namespace

void apply_overrides(Json& json, std::vector<std::string> const& overrides) {
  for (std::string const& text : overrides) apply_override(json, text);
}

Json read_config_file(fs::path const& file, std::vector<std::string> const& overrides) {
  Json json = read_json(file, Exit::usage);
  apply_overrides(json, overrides);
  return json;
}

fs::path find_config(std::string const& name, std::vector<fs::path> const& shipped) {
  std::error_code error;
  if (fs::is_regular_file(name, error)) return name;
  for (fs::path const& folder : shipped) {
    if (fs::is_regular_file(folder / name, error)) return folder / name;
    if (fs::is_regular_file(folder / (name + ".json"), error)) return folder / (name + ".json");
  }
  std::string message = "no config " + name + ": it is neither a file here nor a shipped config";
  std::vector<std::string> known;
  for (fs::path const& folder : shipped) {
    for (auto const& entry : fs::recursive_directory_iterator(folder, error)) {
      if (entry.path().extension() == ".json") {
        known.push_back(entry.path().lexically_relative(folder).string());
      }
    }
  }
  const std::string nearest = nearest_word(name, known);
  if (!nearest.empty()) message += "; did you mean " + nearest + "?";
  throw Error(Exit::usage, message);
}

/// The files of data.train, as they are written in a config.
nlohmann::ordered_json files_of(DataSection const& data) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < data.train.size(); ++i) {
    if (data.repeats[i] == 1) {
      files.push_back(data.train[i]);
    } else {
      files.push_back({{"path", data.train[i]}, {"repeat", data.repeats[i]}});
    }
  }
  return files;
}

nlohmann::ordered_json to_json(TrainConfig const& config) {
  using Out = nlohmann::ordered_json;
  Out out;
  Out& model = out["model"];
  model["path"] = config.model.path;
  model["dtype"] = config.model.dtype ? Out(to_string(*config.model.dtype)) : Out();
  model["shape"] = config.model.shape;
  model["tokenizer"] = name_of(config.model.tokenizer, kTokenizerFiles);
  DataSection const& d = config.data;
  out["data"] = {{"task", d.task},
                 {"train", files_of(d)},
                 {"validation", d.validation},
                 {"validation_share", d.validation_share},
                 {"prompt_field", d.prompt_field},
                 {"answer_field", d.answer_field},
                 {"text_field", d.text_field},
                 {"passage_field", d.passage_field},
                 {"document_separator", d.document_separator},
                 {"prompts", d.prompts},
                 {"samples", d.samples},
                 {"template", d.chat_template},
                 {"format", name_of(d.format, kChatFormats)},
                 {"loss_on", name_of(d.loss_on, kLossOn)},
                 {"parse_special", d.parse_special},
                 {"max_length", d.max_length},
                 {"too_long", name_of(d.too_long, kTooLong)},
                 {"train_examples", d.train_examples},
                 {"eval_examples", d.eval_examples},
                 {"sampling", name_of(d.sampling, kSubsets)},
                 {"cache", d.cache}};
  out["batch"] = {{"sequences", config.batch.sequences}, {"max_tokens", config.batch.max_tokens}};
  const Recompute recompute = config.train.recompute;
  out["train"] = {{"epochs", config.train.epochs},
                  {"max_steps", config.train.max_steps},
                  {"seed", config.train.seed},
                  {"recompute", recompute.blocks > 1 ? Out(recompute.blocks)
                                                     : Out(name_of(recompute, kRecomputes))},
                  {"stop_after_skips", config.train.stop_after_skips}};
  OptimizerSection const& o = config.optimizer;
  out["optimizer"] = {{"name", name_of(o.name, kOptimizers)},
                      {"lr", o.lr},
                      {"weight_decay", o.weight_decay},
                      {"rounding", o.rounding ? Out(name_of(*o.rounding, kRoundings)) : Out()},
                      {"momentum", o.momentum},
                      {"beta1", o.beta1},
                      {"beta2", o.beta2},
                      {"eps", o.eps},
                      {"decay_rate", o.decay_rate},
                      {"eps1", o.eps1},
                      {"eps2", o.eps2},
                      {"clip_threshold", o.clip_threshold}};
  ScheduleSection const& schedule = config.schedule;
  out["schedule"] = {{"kind", to_string(schedule.kind)},
                     {"warmup", schedule.warmup},
                     {"final", schedule.final},
                     {"published", schedule.published}};
  ClipSection const& clip = config.clip;
  out["clip"] = {{"norm", clip.norm ? Out(*clip.norm) : Out()},
                 {"value", clip.value},
                 {"strategy", name_of(clip.strategy, kClipStrategies)},
                 {"kept_blocks", clip.kept_blocks ? Out(*clip.kept_blocks) : Out()}};
  out["gradient_check"] = name_of(config.gradient_check, kGradientChecks);
  LossScaleSection const& scale = config.loss_scale;
  out["loss_scale"] = {{"initial", scale.initial},
                       {"minimum", scale.minimum},
                       {"window", scale.window},
                       {"skip_consumes_schedule", scale.skip_consumes_schedule}};
  SpikeGuardSection const& g = config.spike_guard;
  out["spike_guard"] = {{"action", name_of(g.action, kSpikeActions)},
                        {"window", g.window},
                        {"min_steps", g.min_steps},
                        {"threshold", g.threshold},
                        {"cut", g.cut}};
  out["metrics"] = {{"rounding_every", config.metrics.rounding_every}};
  MemorySection const& m = config.memory;
  out["memory"] = {{"budget", format_bytes(m.budget)},
                   {"tile_bytes", format_bytes(m.tile_bytes)},
                   {"head_block_rows", m.head_block_rows},
                   {"head_chunk_rows", m.head_chunk_rows},
                   {"keep_logits_bytes", format_bytes(m.keep_logits_bytes)}};
  out["ranks"] = {{"comm_dtype", name_of(config.ranks.comm_dtype, kCommDtypes)}};
  EvalSection const& e = config.eval;
  out["eval"] = {{"before", e.before},
                 {"at_end", e.at_end},
                 {"every_steps", e.every_steps},
                 {"every_epochs", e.every_epochs},
                 {"score", name_of(e.score, kScores)},
                 {"max_tokens", e.max_tokens},
                 {"generate_examples", e.generate_examples},
                 {"sample_tokens", e.sample_tokens}};
  SaveSection const& s = config.save;
  out["save"] = {{"every_steps", s.every_steps},
                 {"every_minutes", s.every_minutes},
                 {"keep_last", s.keep_last},
                 {"keep_every", s.keep_every},
                 {"keep_best", s.keep_best},
                 {"best_metric", s.best_metric},
                 {"final_model", name_of(s.final_model, kFinalModels)},
                 {"shard_size", format_bytes(s.shard_size)}};
  out["output"] = config.output;
  return out;
}

std::string_view to_string(OptimizerKind kind) {
  return name_of(kind, kOptimizers);
}

std::string_view to_string(SpikeAction action) {
  return name_of(action, kSpikeActions);
}

std::string format_bytes(std::size_t bytes) {
  constexpr std::array<char const*, 4> kUnits{"B", "KiB", "MiB", "GiB"};
  std::size_t unit = 0;
  while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < kUnits.size()) {
    bytes /= 1024;
    ++unit;
  }
  return std::to_string(bytes) + kUnits[unit];
}

}  // namespace lomo

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <numeric>
#include <string_view>
#include <vector>

#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/random.h"
#include "lomo/data/data_statistics.h"
#include "lomo/data/open_prompt.h"
#include "lomo/data/tokenizer.h"
#include "lomo/model/checkpoint.h"
#include "lomo/plan/report.h"
#include "lomo/run/run.h"
#include "lomo/train/generation.h"
#include "lomo/train/progress.h"
#include "run_environment.h"
#include "tokenizer_option.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

/// Draws the next token: the likeliest at temperature 0, else from the smallest set of likely
/// tokens whose probability reaches top_p.
std::int32_t draw(std::vector<float> const& logits, double temperature, double top_p,
                  RandomStream& random) {
  const auto likeliest = std::max_element(logits.begin(), logits.end());
  if (temperature <= 0) return static_cast<std::int32_t>(likeliest - logits.begin());
  std::vector<double> weight(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i) {
    weight[i] = std::exp((static_cast<double>(logits[i]) - *likeliest) / temperature);
  }
  std::vector<std::int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](std::int32_t a, std::int32_t b) {
    return weight[static_cast<std::size_t>(a)] > weight[static_cast<std::size_t>(b)];
  });
  const double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  double kept = 0;
  std::size_t count = 0;
  while (count < order.size() && (count == 0 || kept < top_p * total)) {
    kept += weight[static_cast<std::size_t>(order[count++])];
  }
  double left = random.uniform() * kept;
  for (std::size_t i = 0; i + 1 < count; ++i) {
    left -= weight[static_cast<std::size_t>(order[i])];
    if (left < 0) return order[i];
  }
  return order[count - 1];
}

void warn_of_special(Tokenizer const& tokenizer, std::string const& prompt) {
  std::map<std::string, std::int64_t> counts;
  tokenizer.count_special(prompt, counts);
  if (counts.empty()) return;
  log::warn(
      "special tokens are written in the prompt: {}. They are read as characters; --parse-special "
      "reads them as tokens",
      special_list(counts));
}

/// Prints text as it grows. Holds back what may still change: a character not yet complete.
class Stream {
 public:
  /// False when nobody reads it any more.
  bool show(std::string const& text) {
    std::size_t end = text.size();
    const std::size_t replacement = text.rfind("\xEF\xBF\xBD");
    if (replacement != std::string::npos && replacement + 3 == end) end = replacement;
    if (end <= shown_) return true;
    const std::string_view more = std::string_view(text).substr(shown_, end - shown_);
    shown_ = end;
    return console::print_while_read(more);
  }
  void finish(std::string const& text) {
    console::print_while_read(text.substr(std::min(shown_, text.size())) + "\n");
  }

 private:
  std::size_t shown_ = 0;
};

}  // namespace

void GenerateCommand::options(CLI::App& app) {
  app.add_option("--model", model, "Hugging Face model folder")->required();
  app.add_option("--prompt", prompt, "the text to continue");
  app.add_option("--max-tokens", max_tokens, "most tokens to add")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 24))
      ->capture_default_str();
  app.add_option("--temperature", temperature, "0 takes the likeliest token each time")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-p", top_p, "draw from the likeliest tokens that reach this probability")
      ->check(CLI::Range(0.0, 1.0))
      ->capture_default_str();
  app.add_option("--seed", seed, "of the draws")->capture_default_str();
  add_tokenizer_option(app, tokenizer_from);
  app.add_flag("--parse-special", parse_special, "read special tokens in the prompt as tokens");
  app.add_option("--dtype", dtype, "f32 or bf16; default: the checkpoint's own")
      ->check(CLI::IsMember({"f32", "bf16"}));
}

int GenerateCommand::run(Common const& common) const {
  const fs::path folder = model;
  require_model_folder(folder);
  const ModelConfig shape = read_model_config(folder / "config.json");
  TrainConfig config;
  config.model.path = model;
  if (!dtype.empty()) config.model.dtype = parse_dtype(dtype);
  resolve(config, shape);
  check_weights(folder, shape);
  const Tokenizer tokenizer(folder, {tokenizer_file(tokenizer_from), parse_special});
  require_rows(tokenizer, shape.vocab, folder);
  for (std::string const& warning : tokenizer.warnings()) log::warn("{}", warning);
  if (!parse_special) warn_of_special(tokenizer, prompt);
  const OpenPrompt open = encode_prompt(tokenizer, prompt);
  std::vector<std::int32_t> ids = open.ids;
  if (ids.empty()) {
    throw Error(Exit::usage, "--prompt is empty and the tokenizer starts texts with nothing");
  }
  const auto prompt_length = static_cast<std::int64_t>(ids.size());
  const RunEnvironment setting = run_environment(common);
  const MemoryUse plan = planned_generation(config, shape, prompt_length,
                                            prompt_length + max_tokens, setting.make_dry);
  log::info("{}", plan_line(plan));
  require_memory("this", plan.slab, setting.available_memory(), 0,
                 "Lower --max-tokens, or try --dtype bf16.");
  const Engine engine = setting.make_engine(plan.slab);
  const auto llama = load_model(engine, shape, config, folder);

  KeyValueCache cache = llama->make_cache(prompt_length + max_tokens);
  if (prompt_length + max_tokens > shape.context) {
    log::warn("up to {} tokens, and the model was made for {}", prompt_length + max_tokens,
              shape.context);
  }
  if (!open.owed.empty()) {
    log::info(
        "the prompt ends in a space: it becomes part of the first token that is written, as in "
        "training");
  }
  OwedText owed(tokenizer, open.owed);
  RandomStream random(random_key(seed, "generate", "", 0));
  Stream stream;
  bool read = stream.show(tokenizer.decode(ids));
  std::vector<float> logits = llama->extend(cache, ids);
  for (std::int64_t i = 0; i < max_tokens && read; ++i) {
    forbid_rows_without_token(tokenizer, logits);
    owed.restrict(logits);
    const std::int32_t next = draw(logits, temperature, top_p, random);
    if (std::ranges::count(tokenizer.stops(), next) > 0) break;
    owed.take(next);
    ids.push_back(next);
    read = stream.show(tokenizer.decode(ids));
    if (read && i + 1 < max_tokens) logits = llama->extend(cache, {next});
  }
  if (read) stream.finish(tokenizer.decode(ids));
  log::info("{}", peak_line(engine->ledger()));
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app

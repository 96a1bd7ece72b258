#include <algorithm>
#include <filesystem>
#include <map>
#include <vector>

#include "chat_session.h"
#include "choice_option.h"
#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/data_statistics.h"
#include "lomo/data/open_prompt.h"
#include "lomo/data/tokenizer.h"
#include "lomo/launch/run_environment.h"
#include "lomo/model/checkpoint.h"
#include "lomo/plan/report.h"
#include "lomo/run/run.h"
#include "lomo/runtime/runtime.h"
#include "lomo/train/progress.h"
#include "writer.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kContext = 4096;  // tokens of a conversation, unless told

void warn_of_special(Tokenizer const& tokenizer, std::string const& prompt) {
  std::map<std::string, std::int64_t> counts;
  tokenizer.count_special(prompt, counts);
  if (counts.empty()) return;
  log::warn(
      "special tokens are written in the prompt: {}. They are read as characters; --parse-special "
      "reads them as tokens",
      special_list(counts));
}

}  // namespace

void GenerateCommand::options(CLI::App& app) {
  app.add_option("--model", model, "Hugging Face model folder")->required();
  prompt_option_ = app.add_option("--prompt", prompt, "the text to continue, or the question");
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
  CLI::Option* const parse =
      app.add_flag("--parse-special", parse_special, "read special tokens in the prompt as tokens");
  CLI::Option* const as_chat =
      app.add_flag("--chat", chat,
                   "answer the prompt as the model's chat template asks; without --prompt, talk: a "
                   "question a line, /exit or Ctrl-D ends")
          ->excludes(parse);
  app.add_option("--system", system, "of --chat: the system message")->needs(as_chat);
  app.add_option("--template", chat_template,
                 "of --chat: a file or a built-in name; default: the model folder's")
      ->needs(as_chat);
  app.add_option("--context", context,
                 "of --chat without --prompt: tokens that a conversation may have before it loses "
                 "its earliest turns; default: the model's, up to 4096")
      ->check(CLI::Range(std::int64_t{2}, std::int64_t{1} << 24))
      ->needs(as_chat);
  app.add_option("--dtype", dtype, "f32 or bf16; default: the checkpoint's own")
      ->check(CLI::IsMember({"f32", "bf16"}));
}

int GenerateCommand::run(launch::Process const& process) const {
  const fs::path folder = model;
  require_model_folder(folder);
  const ModelConfig shape = read_model_config(folder / "config.json");
  TrainConfig config;
  config.model.path = model;
  if (!dtype.empty()) config.model.dtype = parse_dtype(dtype);
  resolve(config, shape);
  for (auto const& warning : unknown_key_warnings(shape, folder / "config.json")) {
    log::warn("{}", warning);
  }
  check_weights(folder, shape);
  const Tokenizer tokenizer(folder, {tokenizer_from, parse_special});
  require_rows(tokenizer, shape.vocab, folder);
  for (std::string const& warning : tokenizer.warnings()) log::warn("{}", warning);
  const RunEnvironment setting = launch::run_environment(process);
  // Loads the model with room for a text of so many tokens, and begins it.
  const auto with_writer = [&](std::int64_t prompt_tokens, std::int64_t total, auto const& use) {
    const MemoryUse plan =
        planned_generation(config, shape, prompt_tokens, total, setting.make_dry);
    log::info("{}", plan_line(plan));
    require_memory("this", plan.slab, setting.available_memory(), 0,
                   chat ? "Lower --context or --max-tokens, or try --dtype bf16."
                        : "Lower --max-tokens, or try --dtype bf16.");
    Runtime runtime(setting.make_engine(plan.slab), config, shape);
    runtime.load(folder);
    if (total > shape.context) {
      log::warn("up to {} tokens, and the model was made for {}", total, shape.context);
    }
    Writer writer(runtime.model(), tokenizer, total, {temperature, top_p, seed});
    use(writer);
    log::info("{}", peak_line(runtime.ledger()));
  };
  if (chat) {
    const ChatTemplate used(folder, chat_template, tokenizer);
    log::info("chat template: {}", used.origin());
    ChatSession session(used, tokenizer, system, max_tokens);
    if (prompt_option_->count() > 0) {
      session.ask(prompt);
      with_writer(session.length(), session.length() + max_tokens,
                  [&](Writer& writer) { session.answer(writer); });
    } else {
      const std::int64_t total = context > 0 ? context : std::min(shape.context, kContext);
      with_writer(total, total, [&](Writer& writer) { session.talk(writer, total); });
    }
  } else {
    if (!parse_special) warn_of_special(tokenizer, prompt);
    const OpenPrompt open = encode_prompt(tokenizer, prompt);
    std::vector<std::int32_t> ids = open.ids;
    if (ids.empty()) {
      throw Error(Exit::usage, "--prompt is empty and the tokenizer starts texts with nothing");
    }
    if (!open.owed.empty()) {
      log::info(
          "the prompt ends in a space: it becomes part of the first token that is written, as in "
          "training");
    }
    const auto length = static_cast<std::int64_t>(ids.size());
    with_writer(length, length + max_tokens, [&](Writer& writer) {
      GrowingText text;
      bool read = text.show(tokenizer.decode(ids));
      const auto go_on = [&] { return read = text.show(tokenizer.decode(ids)); };
      if (read) writer.write(ids, max_tokens, tokenizer.stops(), open.owed, go_on);
      if (read) text.finish(tokenizer.decode(ids));
    });
  }
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app

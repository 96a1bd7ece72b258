#include <chrono>
#include <string>
#include <vector>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/io/json.h"
#include "lomo/launch/error_reporter.h"
#include "lomo/run/rank_consistency.h"

namespace lomo::app {

namespace {

constexpr char const* kAbout =
    "Fine-tunes all the parameters of a LLaMA model with LOMO, in about the memory of inference.\n"
    "Without a command it trains.";

constexpr char const* kFooter = R"(Examples:
  lomo-train --config superglue/rte-7b.json --set model.path=models/llama-7b
  lomo-train --config my.json --output runs/first
  lomo-train --resume runs/first
  lomo-train --config my.json --output runs/first --resume    # begin or go on: for job queues
  lomo-train plan --config llama7b.json --memory 24GiB
  lomo-train ablate --config llama7b.json --memory 24GiB
  lomo-train eval --model runs/first/model --task rte --data data/RTE/val.jsonl
  lomo-train generate --model runs/first/model --prompt "Once upon a time"
  lomo-train generate --model models/smollm2 --chat           # talk, a question a line
  lomo-train inspect --config my.json                         # the data as the model sees them
  lomo-train tokenize --model runs/first/model texts.jsonl
  lomo-train verify runs/first/model
  lomo-train init --config quickstart/model.json --output models/tiny
  mpirun -np 8 lomo-train --config llama65b.json              # on 8 ranks; see scripts/mpirun.sh

Exit codes:
  0 done    2 usage or config    3 does not fit in memory    4 data or checkpoint
  5 training diverged    6 a rank was lost    7 stopped on request, what there was is saved
  130 stopped at once    1 anything else

Every config key is described in docs/CONFIG.md.)";

/// Help and version are for one voice.
int print(CLI::App const& app, CLI::ParseError const& request, ProcessGroup const& ranks) {
  return ranks.rank() == 0 ? app.exit(request) : static_cast<int>(Exit::done);
}

void require_one_rank(CLI::App const& command, ProcessGroup const& ranks) {
  if (!command.parsed() || ranks.size() == 1) return;
  throw Error(Exit::usage, "lomo-train " + command.get_name() +
                               " runs on one rank; start it without mpirun or srun");
}

/// What an argument that nobody knows was probably meant to be.
std::string meant(CLI::App const& app) {
  std::vector<std::string> known;
  const auto add_options = [&known](CLI::App const& of) {
    for (CLI::Option const* option : of.get_options()) known.push_back(option->get_name());
  };
  add_options(app);
  for (CLI::App const* command : app.get_subcommands({})) known.push_back(command->get_name());
  for (CLI::App const* command : app.get_subcommands()) add_options(*command);
  for (std::string const& word : app.remaining(true)) {
    const std::string near = nearest_word(word.substr(0, word.find('=')), known);
    if (!near.empty()) return " Did you mean " + near + "?";
  }
  return "";
}

int run(int argc, char** argv, ProcessGroup& ranks, launch::ErrorReporter& error_reporter) {
  CLI::App app{kAbout, "lomo-train"};
  app.footer(kFooter);
  app.set_version_flag("--version", "lomo-train " LOMO_VERSION);
  app.get_formatter()->column_width(34);
  app.fallthrough();
  app.require_subcommand(0, 1);

  launch::Process process{ranks, error_reporter};
  app.add_option("--device", process.device,
                 "cuda, cpu, or auto: a GPU where there is one, else the CPU")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", process.threads, "worker threads; 0: as many as this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--log-level", process.log_level, "how much to say on stderr")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
      ->capture_default_str();
  int timeout = 600;
  app.add_option("--rank-timeout", timeout, "seconds that a rank waits for another")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();

  TrainCommand train;
  train.options(app);
  EvalCommand eval;
  CLI::App* eval_app = app.add_subcommand("eval", "Evaluate a model on a task or on text");
  eval.options(*eval_app);
  PlanCommand plan;
  CLI::App* plan_app = app.add_subcommand(
      "plan", "Say what memory, disk and time a run takes, without weights, before it is started");
  plan.options(*plan_app);
  AblateCommand ablate;
  CLI::App* ablate_app = app.add_subcommand(
      "ablate", "Measure what each part of the method saves: memory and speed of a few steps");
  ablate.options(*ablate_app);
  GenerateCommand generate;
  CLI::App* generate_app = app.add_subcommand("generate", "Continue a prompt");
  generate.options(*generate_app);
  InspectCommand inspect;
  CLI::App* inspect_app = app.add_subcommand(
      "inspect", "Show examples as the model will see them, and what is cut or left out");
  inspect.options(*inspect_app);
  TokenizeCommand tokenize;
  CLI::App* tokenize_app =
      app.add_subcommand("tokenize", "Show texts as token ids and pieces, or ids as text");
  tokenize.options(*tokenize_app);
  CacheCommand cache;
  CLI::App* cache_app =
      app.add_subcommand("cache", "Show or remove encoded data that wait for the next run");
  cache.options(*cache_app);
  VerifyCommand verify;
  CLI::App* verify_app = app.add_subcommand(
      "verify", "Check a checkpoint or model folder: headers, shapes, checksums, values");
  verify.options(*verify_app);
  InitCommand init;
  CLI::App* init_app =
      app.add_subcommand("init", "Make a randomly initialised model folder from a model config");
  init.options(*init_app);

  try {
    app.parse(argc, argv);
  } catch (CLI::CallForHelp const& e) {
    return print(app, e, ranks);
  } catch (CLI::CallForAllHelp const& e) {
    return print(app, e, ranks);
  } catch (CLI::CallForVersion const& e) {
    return print(app, e, ranks);
  } catch (CLI::ExtrasError const& e) {
    std::string words;  // in the order in which they were given, which e.what() reverses
    for (std::string const& word : app.remaining(true)) words += " " + shell_quoted(word);
    throw Error(Exit::usage,
                "not known here:" + words + "." + meant(app) + " See lomo-train --help.");
  } catch (CLI::ParseError const& e) {
    throw Error(Exit::usage, std::string(e.what()) + ". See lomo-train --help.");
  }
  ranks.set_timeout(std::chrono::seconds(timeout));
  launch::start_log(process.log_level, ranks);
  for (CLI::App const* command : {plan_app, ablate_app, generate_app, inspect_app, tokenize_app,
                                  cache_app, verify_app, init_app}) {
    require_one_rank(*command, ranks);
  }
  require_rank_consistency(ranks.host(),
                           {{"command", eval_app->parsed() ? "eval" : "train", Exit::usage}});
  const int share = launch::threads_of_rank(ranks);
  process.threads_given = process.threads > 0;
  if (!process.threads_given) process.threads = share;
  if (eval_app->parsed()) return eval.run(process);
  if (plan_app->parsed()) return plan.run(process);
  if (ablate_app->parsed()) return ablate.run(process);
  if (generate_app->parsed()) return generate.run(process);
  if (inspect_app->parsed()) return inspect.run();
  if (tokenize_app->parsed()) return tokenize.run();
  if (cache_app->parsed()) return cache.run();
  if (verify_app->parsed()) return verify.run();
  if (init_app->parsed()) return init.run(process);
  if (argc == 1) throw Error(Exit::usage, "no --config and no command.\n" + app.help());
  return train.run(process);
}

}  // namespace

}  // namespace lomo::app

int main(int argc, char** argv) {
  return lomo::launch::run_as_rank(
      argv, [&](lomo::ProcessGroup& ranks, lomo::launch::ErrorReporter& error_reporter) {
        return lomo::app::run(argc, argv, ranks, error_reporter);
      });
}

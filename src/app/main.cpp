#include <signal.h>

#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "wait_policy.h"

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
  lomo-train eval --model runs/first/model --task rte --data data/RTE/val.jsonl
  lomo-train generate --model runs/first/model --prompt "Once upon a time"
  lomo-train verify runs/first/model
  lomo-train init --config quickstart/model.json --output models/tiny

Exit codes:
  0 done    2 usage or config    3 does not fit in memory    4 data or checkpoint
  5 training diverged    7 stopped on request after saving    130 stopped at once    1 anything else

Every config key is described in docs/CONFIG.md.)";

int run(int argc, char** argv) {
  CLI::App app{kAbout, "lomo-train"};
  app.footer(kFooter);
  app.set_version_flag("--version", "lomo-train " LOMO_VERSION);
  app.get_formatter()->column_width(34);
  app.fallthrough();
  app.require_subcommand(0, 1);

  Common common;
  app.add_option("--device", common.device,
                 "cuda, cpu, or auto: a GPU where there is one, else the CPU")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  app.add_option("--threads", common.threads, "worker threads; 0: as many as this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--log-level", common.log_level, "how much to say on stderr")
      ->check(CLI::IsMember({"debug", "info", "warn", "error"}))
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
  GenerateCommand generate;
  CLI::App* generate_app = app.add_subcommand("generate", "Continue a prompt");
  generate.options(*generate_app);
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
    return app.exit(e);
  } catch (CLI::CallForAllHelp const& e) {
    return app.exit(e);
  } catch (CLI::CallForVersion const& e) {
    return app.exit(e);
  } catch (CLI::ParseError const& e) {
    throw Error(Exit::usage, std::string(e.what()) + ". See lomo-train --help.");
  }
  log::start(common.log_level);
  if (eval_app->parsed()) return eval.run(common);
  if (plan_app->parsed()) return plan.run(common);
  if (generate_app->parsed()) return generate.run(common);
  if (verify_app->parsed()) return verify.run();
  if (init_app->parsed()) return init.run(common);
  if (argc == 1) throw Error(Exit::usage, "no --config and no command.\n" + app.help());
  return train.run(common);
}

}  // namespace

}  // namespace lomo::app

int main(int argc, char** argv) {
  lomo::app::settle_wait_policy(argv);
  // A file above the system's limit is then a failed write, as on a full disk.
  signal(SIGXFSZ, SIG_IGN);
  try {
    return lomo::app::run(argc, argv);
  } catch (lomo::Error const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(e.code());
  } catch (std::bad_alloc const&) {
    std::fprintf(stderr, "error: the machine has no memory left for this process\n");
    return static_cast<int>(lomo::Exit::memory);
  } catch (std::exception const& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return static_cast<int>(lomo::Exit::failure);
  }
}

#pragma once
#include <CLI/CLI.hpp>
#include <functional>
#include <string>
#include <vector>

#include "lomo/config/config.h"
#include "lomo/launch/engines.h"
#include "lomo/launch/process.h"
#include "lomo/plan/report.h"
#include "plan_target.h"

namespace lomo::app {

/// The options of one command and what it does. `run` returns the exit code.
struct TrainCommand {
  std::string config, resume, output, trace, trace_steps = "2-3";
  std::vector<std::string> overrides;
  bool no_resume = false, ignore_disk_space = false, override_memory = false;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;

 private:
  struct Start;
  Start find_start() const;
  TrainConfig read_config(Start const& start) const;

  CLI::Option* resume_option_ = nullptr;  // given without a path it is not absent
};

struct EvalCommand {
  std::string config, model, task, output;
  std::vector<std::string> data, overrides;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;
};

struct PlanCommand {
  PlanTarget subject;
  std::string memory, headroom = "1GiB", profile, html;
  double link = 0;  // GB/s; 0: not given
  int ranks = 1;
  bool json = false, advise = false;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;

 private:
  bool names_gpu() const { return !profile.empty() && profile != "cpu"; }
  using OpenEngines =
      std::function<launch::Engines const&()>;  // where one of this machine is asked for
  bool elsewhere(launch::Process const& process) const;
  std::vector<DeviceProfile> devices(OpenEngines const& engines, DType type,
                                     std::int64_t head_width) const;
  Fit verdict(OpenEngines const& engines, PlanReport const& report) const;
};

struct AblateCommand {
  PlanTarget subject;
  std::string memory;
  int steps = 3;
  bool json = false;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;
};

struct GenerateCommand {
  std::string model, prompt, dtype, system, chat_template;
  TokenizerFile tokenizer_from = TokenizerFile::automatic;
  std::int64_t max_tokens = 256, context = 0;  // context 0: not given
  double temperature = 0, top_p = 1;
  std::uint64_t seed = 1;
  bool parse_special = false, chat = false;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;

 private:
  CLI::Option* prompt_option_ = nullptr;
};

struct InspectCommand {
  std::string config;
  std::vector<std::string> overrides;
  std::int64_t count = 3;
  bool pieces = false;
  void options(CLI::App& app);
  int run() const;
};

struct TokenizeCommand {
  std::string model, file, chat_template;
  TokenizerFile tokenizer_from = TokenizerFile::automatic;
  LossOn loss_on = LossOn::all_answers;
  bool no_special = false, parse_special = false, decode = false;
  bool chat = false, add_generation_prompt = false;
  void options(CLI::App& app);
  int run() const;
};

struct CacheCommand {
  std::string folder;
  bool list = false, clear = false;
  void options(CLI::App& app);
  int run() const;
};

struct VerifyCommand {
  std::string folder;
  void options(CLI::App& app);
  int run() const;
};

struct InitCommand {
  std::string config, tokenizer, output;
  std::uint64_t seed = 1;
  void options(CLI::App& app);
  int run(launch::Process const& process) const;
};

}  // namespace lomo::app

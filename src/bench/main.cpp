#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <set>

#include "bench.h"
#include "lomo/core/error.h"
#include "lomo/core/text.h"
#include "lomo/launch/error_reporter.h"
#include "lomo/launch/run_environment.h"
#include "lomo/model/config_json.h"

namespace lomo::bench {
namespace {

constexpr char const* kAbout =
    "Times every operation of an engine and the whole training step, at the sizes of a model and\n"
    "beside what the device itself does: a large product and a large copy, or a profile. A share "
    "of\n"
    "the peak above 100 % means that operands stayed in caches. With `comm`, started by mpirun: "
    "what\n"
    "ranks exchange in training.";

constexpr char const* kFooter = R"(Examples:
  lomo-bench --config llama7b.json --layers 2
  lomo-bench ops --config llama7b.json --tokens 4096 --only attention
  lomo-bench step --config llama7b.json --layers 4 --set clip.norm=1.0
  lomo-bench ops --config llama7b.json --profile devices/rtx3090.json
  mpirun -np 8 lomo-bench comm --config llama65b.json         # see scripts/mpirun.sh)";

struct Options {
  std::string config = "llama7b.json", profile, only;
  std::vector<std::string> overrides;
  std::int64_t layers = 0, tokens = 2048, sequence = 512, targets = 512, tile = 256;
  int repetitions = 5;
};

ModelConfig model_of(TrainConfig const& config, std::string const& where) {
  if (!config.model.shape.is_object()) {
    throw Error(Exit::usage,
                where +
                    " has no model.shape, whose sizes are timed. Name a training config with "
                    "one, such as llama7b.json.");
  }
  return model_config_from_json(JsonReader(config.model.shape, where, Exit::usage, "/model/shape"));
}

TrainConfig config_of(Options const& o) {
  const auto file = find_config(o.config, launch::shipped_configs());
  return parse_config(read_config_file(file, o.overrides), file.string());
}

Extents extents_of(Options const& o, TrainConfig const& config) {
  Extents e;
  e.model = model_of(config, o.config);
  e.type = config.model.dtype.value_or(DType::bf16);
  e.model.dtype = e.type;
  if (o.layers > 0) e.model.layers = o.layers;
  e.tokens = o.tokens;
  e.sequence = std::min(o.sequence, o.tokens);
  e.targets = std::min(o.targets, o.tokens);
  e.tile = o.tile;
  e.head_block = config.memory.head_block_rows;
  if (e.head_block == 0 || e.head_block > e.model.vocab) e.head_block = e.model.vocab;
  return e;
}

int bench(Options const& o, launch::Process const& process, bool operations, bool step) {
  if (process.ranks.size() > 1) {
    throw Error(Exit::usage,
                "lomo-bench times operations and steps on one rank; start it without mpirun or "
                "srun, or time exchanges: lomo-bench comm");
  }
  const TrainConfig config = config_of(o);
  const Extents e = extents_of(o, config);
  Engine engine = launch::make_engine(process, 0);
  DeviceProfile peaks = measure_device(*engine, e.type);
  std::printf("%s\n%s: product of large matrices %.3f TFLOP/s, copy of 256 MiB %.1f GB/s\n",
              engine->describe().c_str(), std::string(to_string(e.type)).c_str(),
              peaks.products(e.type) / 1e12, peaks.bandwidth / 1e9);
  if (!o.profile.empty()) {
    peaks = read_device_profile(find_config(o.profile, launch::shipped_configs()));
    std::printf("shares are of %s: %.3f TFLOP/s, %.1f GB/s\n", peaks.name.c_str(),
                peaks.products(e.type) / 1e12, peaks.bandwidth / 1e9);
  }
  std::printf("\n");
  if (operations) bench_operations(*engine, e, peaks, o.only, o.repetitions);
  if (step) bench_step(std::move(engine), e, config, peaks, o.repetitions);
  return static_cast<int>(Exit::done);
}

int comm(Options const& o, launch::Process process) {
  ProcessGroup& ranks = process.ranks;
  if (ranks.size() == 1) {
    throw Error(
        Exit::usage,
        "lomo-bench comm times what ranks exchange, and there is one rank only; start it as in "
        "mpirun -np 2 lomo-bench comm, or scripts/mpirun.sh 2 comm");
  }
  const TrainConfig config = config_of(o);
  const CommOptions options{extents_of(o, config), config.ranks.comm_dtype,
                            TileSize{config.memory.tile_bytes}, o.repetitions};
  if (process.threads == 0) process.threads = launch::threads_of_rank(ranks);
  const RunEnvironment setting = launch::run_environment(process);
  const Engine engine = setting.make_engine(0);
  const std::vector<int> all = ranks.host().all_gather_host(ranks.machine());
  const std::size_t machines = std::set<int>(all.begin(), all.end()).size();
  if (ranks.rank() == 0) {
    std::printf("%s; %d ranks on %s; weights are sent as %s, gradients as %s\n\n",
                engine->describe().c_str(), ranks.size(),
                counted(static_cast<std::int64_t>(machines), "machine").c_str(),
                std::string(to_string(options.extents.type)).c_str(),
                std::string(to_string(options.comm_dtype)).c_str());
  }
  try {
    bench_comm(engine, options);
  } catch (...) {
    setting.failing(std::current_exception());
    throw;
  }
  return static_cast<int>(Exit::done);
}

int run(int argc, char** argv, launch::Process process) {
  CLI::App cli{kAbout, "lomo-bench"};
  cli.footer(kFooter);
  cli.fallthrough();
  cli.require_subcommand(0, 1);
  Options o;
  const auto positive = CLI::Range(std::int64_t{1}, std::int64_t{1} << 40);
  cli.add_option("--config", o.config,
                 "a training config whose model.shape to take, or a shipped one")
      ->capture_default_str();
  cli.add_option("--set", o.overrides, "key=value in the config, as for lomo-train");
  cli.add_option("--layers", o.layers,
                 "transformer blocks of the step's model; not given: the config's")
      ->check(positive);
  cli.add_option("--tokens", o.tokens, "of a batch")->check(positive)->capture_default_str();
  cli.add_option("--sequence", o.sequence, "tokens of a sequence")
      ->check(positive)
      ->capture_default_str();
  cli.add_option("--targets", o.targets, "tokens of the batch that carry loss")
      ->check(positive)
      ->capture_default_str();
  cli.add_option("--tile", o.tile, "rows of a gradient tile, for single operations")
      ->check(positive)
      ->capture_default_str();
  cli.add_option("--repetitions", o.repetitions, "measurements, whose median is printed")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  cli.add_option("--profile", o.profile, "peaks of a device to compare with, instead of measuring");
  cli.add_option("--device", process.device, "cpu, cuda, or auto: the best engine there is")
      ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
      ->capture_default_str();
  cli.add_option("--threads", process.threads, "worker threads; 0: as many as this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  CLI::App* const operations = cli.add_subcommand("ops", "Only the operations");
  operations->add_option("--only", o.only, "those whose name contains this");
  CLI::App* const step = cli.add_subcommand("step", "Only the training step");
  CLI::App* const exchanges =
      cli.add_subcommand("comm", "What ranks exchange in training; started by mpirun or srun");
  try {
    cli.parse(argc, argv);
  } catch (CLI::ParseError const& e) {
    const int code = process.ranks.rank() == 0 ? cli.exit(e) : e.get_exit_code();
    return static_cast<int>(code == 0 ? Exit::done : Exit::usage);
  }
  launch::start_log("info", process.ranks);
  if (*exchanges) return comm(o, process);
  return bench(o, process, !*step, !*operations);
}

}  // namespace
}  // namespace lomo::bench

int main(int argc, char** argv) {
  return lomo::launch::run_as_rank(
      argv, [&](lomo::ProcessGroup& ranks, lomo::launch::ErrorReporter& error_reporter) {
        return lomo::bench::run(argc, argv, lomo::launch::Process{ranks, error_reporter});
      });
}

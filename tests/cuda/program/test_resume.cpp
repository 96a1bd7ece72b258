// Checkpoints go between the CPU and the emulated GPU, in both directions.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "hosted.h"
#include "launch/launch.h"
#include "lomo/io/safetensors.h"
#include "trajectory.h"

using namespace lomo::test;
using nlohmann::json;

namespace {

constexpr int kSaved = 3, kEnd = 6;  // steps: of the checkpoint, and of the runs that go on

struct Where {
  std::string device;
  int ranks = 1;
};

void train(Workplace const& place, Where const& where, std::string const& output, int steps,
           Arguments more) {
  more.insert(more.end(), {"--output", place / output, "--device", where.device, "--set",
                           "train.max_steps=" + std::to_string(steps), "--set",
                           "schedule.kind=constant", "--set", "schedule.warmup=0"});
  const Environment gpu = hosted();
  const ProcessResult result =
      where.ranks == 1 ? run(place, more) : launch(place, where.ranks, more);
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.err, "emulated CUDA (tests)") == (where.device == "cuda"));
}

std::string checkpoint(Workplace const& place, std::string const& run, int step) {
  return place / (run + "/checkpoints/step-" + std::to_string(step));
}

/// The checkpoint of `from` read and written again where there is nothing left to train.
void check_same_state(Workplace const& place, std::string const& from, Where const& where) {
  const std::string read = checkpoint(place, from, kSaved);
  const std::string again = from + "-on-" + where.device;
  train(place, where, again, kSaved, {"--resume", read});
  const std::string written = checkpoint(place, again, kSaved);
  CHECK(same_files(read, written, {"model.safetensors"}));
  if (std::filesystem::exists(read + "/optimizer.safetensors")) {
    CHECK(same_files(read, written, {"optimizer.safetensors"}));
  }
  auto before = json::parse(slurp(read + "/training_state.json"));
  auto after = json::parse(slurp(written + "/training_state.json"));
  for (json* state : {&before, &after}) (*state)["config"].erase("output");
  CHECK(before == after);
}

void go_on(Workplace const& place, std::string const& from, Where const& where,
           std::string const& output, int steps) {
  train(place, where, output, steps, {"--resume", checkpoint(place, from, kSaved)});
}

/// All bf16 weights of a checkpoint, as numbers that grow with the weight: neighbours in bf16 are 1
/// apart.
std::vector<std::int32_t> ordinals(std::string const& folder) {
  const lomo::SafetensorsFile file(folder + "/model.safetensors");
  std::vector<std::int32_t> all;
  for (lomo::SafetensorsEntry const& entry : file.entries()) {
    REQUIRE(entry.dtype == lomo::DType::bf16);
    std::vector<std::int16_t> bits(entry.bytes / 2);
    file.read(entry, 0, std::as_writable_bytes(std::span(bits)));
    for (const std::int16_t b : bits) all.push_back(b >= 0 ? b : -(b & 0x7fff));
  }
  return all;
}

/// One stochastic step from the same weights with the same random numbers. A weight rounds to
/// another value than on the other engine with a probability of the difference of the two steps, in
/// units of the weight's last place, where it changes at all with a probability of the step's size
/// in those units: so of the weights that change so many differ as gradients differ by, on the
/// whole. They come from 3 (10 L + 3) roundings to bf16, of relative size 2^-8 at most and
/// independent, of which AdaLomo's step has them three times: in the gradient, its statistics and
/// its root mean square. 6 standard deviations of that count are allowed for. With other random
/// numbers about as many would differ as change.
void check_rounded_alike(std::vector<std::int32_t> const& before,
                         std::vector<std::int32_t> const& cpu, std::vector<std::int32_t> const& gpu,
                         bool adalomo) {
  REQUIRE(before.size() == cpu.size());
  REQUIRE(before.size() == gpu.size());
  double changed = 0, differ = 0;
  std::int32_t farthest = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    changed += cpu[i] != before[i] ? 1 : 0;
    differ += cpu[i] != gpu[i] ? 1 : 0;
    farthest = std::max(farthest, std::abs(cpu[i] - gpu[i]));
  }
  INFO(changed << " weights changed, " << differ << " differ, by " << farthest << " at most");
  const double expected =
      changed * (adalomo ? 3 : 1) * std::sqrt(3 * (10 * 2 + 3)) * std::ldexp(1.0, -8);
  CHECK(changed > 100);
  CHECK(differ <= expected + 6 * std::sqrt(expected));
  CHECK(farthest <= 1);
}

void make_run(Workplace const& place, bool adalomo) {
  make_model_and_data(place);
  write_config(place,
               adalomo ? R"({"name": "adalomo", "lr": 0.002})" : R"({"name": "lomo", "lr": 0.1})",
               R"(, "eval": {"before": false, "at_end": false}, "ranks": {"comm_dtype": "f32"},
                  "save": {"final_model": "none"})");
}

const Where kCpu{"cpu"}, kGpu{"cuda"}, kTwoGpus{"cuda", 2};

}  // namespace

TEST_CASE("a checkpoint goes from the CPU to the GPU and back, and trains on as it would have") {
  const bool adalomo = GENERATE(false, true);
  CAPTURE(adalomo);
  const Workplace place;
  make_run(place, adalomo);
  for (Where const& from : {kCpu, kGpu}) {
    Where const& to = from.device == "cpu" ? kGpu : kCpu;
    CAPTURE(from.device);
    train(place, from, from.device, kSaved, {"--config", place / "run.json"});
    check_same_state(place, from.device, to);
    go_on(place, from.device, from, from.device + "-stays", kEnd);
    go_on(place, from.device, to, from.device + "-moves", kEnd);
    const auto stays = steps_of_run(place, from.device + "-stays");
    const auto moves = steps_of_run(place, from.device + "-moves");
    REQUIRE(stays.size() == kEnd - kSaved);
    REQUIRE(moves.size() == stays.size());
    check_losses(moves, stays, {2, 32, 32, 5000}, adalomo);
  }
}

TEST_CASE("a bf16 checkpoint goes to the other engine with its random numbers") {
  const bool adalomo = GENERATE(false, true);
  CAPTURE(adalomo);
  const Workplace place;
  make_run(place, adalomo);
  for (Where const& from : {kCpu, kGpu}) {
    Where const& to = from.device == "cpu" ? kGpu : kCpu;
    CAPTURE(from.device);
    train(place, from, from.device, kSaved,
          {"--config", place / "run.json", "--set", "model.dtype=bf16"});
    check_same_state(place, from.device, to);
    go_on(place, from.device, from, from.device + "-stays", kSaved + 1);
    go_on(place, from.device, to, from.device + "-moves", kSaved + 1);
    check_rounded_alike(ordinals(checkpoint(place, from.device, kSaved)),
                        ordinals(checkpoint(place, from.device + "-stays", kSaved + 1)),
                        ordinals(checkpoint(place, from.device + "-moves", kSaved + 1)), adalomo);
  }
}

TEST_CASE("a checkpoint of two GPUs goes on on one CPU") {
  const bool adalomo = GENERATE(false, true);
  CAPTURE(adalomo);
  const Workplace place;
  make_run(place, adalomo);
  train(place, kTwoGpus, "two", kSaved, {"--config", place / "run.json"});
  check_same_state(place, "two", kCpu);
  go_on(place, "two", kTwoGpus, "stays", kEnd);
  go_on(place, "two", kCpu, "moves", kEnd);
  const auto stays = steps_of_run(place, "stays");
  const auto moves = steps_of_run(place, "moves");
  REQUIRE(stays.size() == kEnd - kSaved);
  REQUIRE(moves.size() == stays.size());
  check_losses(moves, stays, {2, 32, 32, 5000}, adalomo);
}

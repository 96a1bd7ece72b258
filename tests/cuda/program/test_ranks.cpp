// lomo-train --device cuda on several ranks, each with an emulated GPU, over the emulated NCCL.
#include <cmath>
#include <string>
#include <vector>

#include "hosted.h"
#include "launch/comm.h"
#include "launch/launch.h"
#include "support/catch.h"
#include "trajectory.h"

using namespace lomo::test;

namespace {

constexpr int kSteps = 3;

/// LOMO without a gradient check, so that all stop at a tile that is not finite; AdaLomo with one.
Arguments few_steps(Workplace const& place, std::string const& output, std::string const& name) {
  return command(place, output,
                 {"--device", "cuda", "--set", "train.max_steps=" + std::to_string(kSteps), "--set",
                  name == "lomo" ? "clip.norm=0" : "clip.norm=1"});
}

Environment seeded(std::string const& seed) {
  return Environment({{"CUDA_HOST_SEED", seed}});
}

}  // namespace

TEST_CASE("two GPUs train the model that one trains, with the same bits whatever stream goes on") {
  const Environment gpu = hosted();
  for (std::string const name : {"lomo", "adalomo"}) {
    const Workplace place;
    make_model_and_data(place);
    write_config(place, R"({"name": ")" + name + R"(", "lr": 0.01})",
                 R"(, "ranks": {"comm_dtype": "f32"}, "eval": {"before": false, "at_end": false},
                     "memory": {"tile_bytes": 512}, "gradient_check": "tile")");
    REQUIRE(run(place, few_steps(place, "one", name)).code == 0);
    const std::vector<double> one = losses_of(place, "one");
    REQUIRE(one.size() == kSteps);
    for (char const* output : {"two", "again"}) {
      const Environment order = seeded(output == std::string("two") ? "1" : "12");
      const ProcessResult result = launch(place, 2, few_steps(place, output, name));
      INFO(name << ": " << result.err);
      REQUIRE(result.code == 0);
      CHECK(contains(result.err, "emulated CUDA (tests)"));
    }
    const std::vector<double> two = losses_of(place, "two");
    REQUIRE(two.size() == kSteps);
    // Sums over at most 64 rows in another order, in f32, at each step.
    const double tolerance = kSteps * 64 * std::ldexp(1.0, -24) * one.front();
    for (std::size_t k = 0; k < kSteps; ++k) {
      INFO(name << ", step " << k + 1 << ": " << two[k] << " for " << one[k]);
      CHECK(std::abs(two[k] - one[k]) <= tolerance);
    }
    CHECK(weights(place / "two/model") == weights(place / "again/model"));
  }
}

TEST_CASE("two GPUs train what one trains with stored gradients, tied embeddings and in fp16") {
  const Environment gpu = hosted();
  struct Case {
    std::string optimizer, dtype;
    double rounding;  // of a sum, relative
  };
  // fp16 rounds a few dozen times on the way of each gradient.
  for (Case const& c : {Case{R"({"name": "sgd", "lr": 0.01})", "f32", 64 * 0x1p-24},
                        Case{R"({"name": "adamw", "lr": 0.001})", "f32", 64 * 0x1p-24},
                        Case{R"({"name": "lomo", "lr": 0.01})", "f16", 30 * 0x1p-11}}) {
    const Workplace place;
    make_model_and_data(place, /*tied=*/true);
    write_config(place, c.optimizer,
                 R"(, "ranks": {"comm_dtype": "f32"}, "eval": {"before": false, "at_end": false},
                     "memory": {"tile_bytes": 512, "head_block_rows": 12, "keep_logits_bytes": 0})");
    const auto steps = [&](char const* output) {
      return command(place, output,
                     {"--device", "cuda", "--set", "train.max_steps=" + std::to_string(kSteps),
                      "--set", "model.dtype=" + c.dtype});
    };
    REQUIRE(run(place, steps("one")).code == 0);
    const ProcessResult result = launch(place, 2, steps("two"));
    INFO(c.optimizer << ": " << result.err);
    REQUIRE(result.code == 0);
    const std::vector<double> one = losses_of(place, "one"), two = losses_of(place, "two");
    REQUIRE(one.size() == kSteps);
    REQUIRE(two.size() == kSteps);
    for (std::size_t k = 0; k < kSteps; ++k) {
      INFO("step " << k + 1 << ": " << two[k] << " for " << one[k]);
      CHECK(std::abs(two[k] - one[k]) <= kSteps * c.rounding * one.front());
    }
  }
}

TEST_CASE("two GPUs that find norms by each other's factors train what one trains") {
  const Environment gpu = hosted();
  const Workplace place;
  make_model_and_data(place);
  write_short_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})",
               R"(, "ranks": {"comm_dtype": "f32"}, "eval": {"before": false, "at_end": false})");
  const auto steps = [&](char const* output) {
    return command(place, output,
                   {"--device", "cuda", "--set", "train.max_steps=" + std::to_string(kSteps),
                    "--set", "batch.sequences=2", "--set", "clip.norm=0.1"});
  };
  REQUIRE(run(place, steps("one")).code == 0);
  const std::vector<Step> one = steps_of_run(place, "one");
  REQUIRE(one.size() == kSteps);
  // The longest sum is one of a Gram matrix, over gate, up and what they read.
  const Extents extents{.layers = 2, .depth = 24 + 24 + 16, .vocab = 32, .parameters = 0};
  for (char const* output : {"two", "again"}) {
    const Environment order = seeded(output == std::string("two") ? "1" : "12");
    const ProcessResult result = launch(place, 2, steps(output));
    INFO(result.err);
    REQUIRE(result.code == 0);
    const std::vector<Step> two = steps_of_run(place, output);
    REQUIRE(two.size() == kSteps);
    check_losses(two, one, extents, /*adalomo=*/false);
    for (std::size_t k = 0; k < kSteps; ++k) {
      INFO("step " << k + 1 << ": " << two[k].norm << " for " << one[k].norm);
      CHECK(std::abs(two[k].norm - one[k].norm) <= rounding_of(extents) * one[k].norm);
    }
  }
  CHECK(weights(place / "two/model") == weights(place / "again/model"));
}

TEST_CASE("lomo-bench comm measures what two GPUs exchange") {
  const Environment gpu = hosted();
  const Workplace place;
  Arguments arguments = small_comm();
  arguments.insert(arguments.end(), {"--device", "cuda"});
  const ProcessResult result =
      Process(place, LOMO_MPIRUN,
              on_ranks(std::vector<Arguments>(2, arguments), LOMO_BENCH_PROGRAM))
          .wait();
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(contains(result.out, "emulated CUDA (tests)"));
  check_comm_of_two(result.out);
}

// What a plan says of each rank of a run, and what the run's ranks then hold.
#include <string>
#include <vector>

#include "app/peaks.h"
#include "launch.h"
#include "support/catch.h"

using namespace lomo::test;

namespace {

struct Case {
  int ranks;
  char const* optimizer;
  Arguments settings;  // key=value
  bool few = false;    // tokens, so that norms are found by factors
};

}  // namespace

TEST_CASE("what each rank holds at its peak is what was planned of it, to the byte, by category") {
  const std::vector<Case> cases{
      {1, "lomo", {"model.dtype=bf16", "train.recompute=2"}},
      {2, "lomo", {"model.dtype=bf16", "train.recompute=2", "memory.keep_logits_bytes=0"}},
      {2, "adamw", {"model.dtype=f32", "train.recompute=none"}},
      {3, "adalomo", {"model.dtype=bf16", "memory.head_block_rows=5", "ranks.comm_dtype=f32"}},
      {4, "lomo", {"model.dtype=f32", "clip.strategy=one_pass", "memory.tile_bytes=600"}},
      {2, "lomo", {"model.dtype=bf16", "batch.sequences=2"}, true},
      {4, "lomo", {"model.dtype=bf16", "batch.sequences=3", "clip.strategy=one_pass"}, true},
  };
  for (std::size_t i = 0; i < cases.size(); ++i) {
    auto const& [ranks, optimizer, settings, few] = cases[i];
    const Workplace place;
    make_model_and_data(place);
    if (few) write_short_data(place);
    write_config(place, R"({"name": ")" + std::string(optimizer) + R"(", "lr": 0.01})",
                 R"(, "metrics": {"rounding_every": 1})");
    Arguments common{"--threads", "1", "--device", "cpu"};
    for (std::string const& setting : settings) {
      common.insert(common.end(), {"--set", setting});
    }
    const std::string name = "run" + std::to_string(i);
    const ProcessResult result = launch(place, ranks, command(place, name, common));
    INFO(ranks << " ranks, " << optimizer << ": " << result.err);
    REQUIRE(result.code == 0);
    const auto planned = planned_peaks(place, ranks, common);
    CHECK(planned.size() == static_cast<std::size_t>(ranks));
    CHECK(measured_peaks(place, name) == planned);
    CHECK(contains(result.out, "by rank") == (ranks > 1));
  }
}

// What a plan says of each emulated GPU of a run, and what it then holds.
#include <string>

#include "app/peaks.h"
#include "hosted.h"
#include "launch/launch.h"
#include "support/catch.h"

using namespace lomo::test;

TEST_CASE("each GPU holds at its peak what was planned of it, to the byte, by category") {
  const Environment gpu = hosted();
  for (const int ranks : {1, 2}) {
    const Workplace place;
    make_model_and_data(place);
    if (ranks == 2) write_short_data(place);
    const Arguments settings{
        "--set", "model.dtype=bf16",  "--set",    "train.recompute=" + std::to_string(ranks),
        "--set", "train.max_steps=4",  // the plan is of these alone
        "--set", "batch.sequences=2", "--device", "cuda"};
    write_config(place, R"({"name": "lomo", "lr": 0.01})", R"(, "metrics": {"rounding_every": 1})");
    const std::string name = "run" + std::to_string(ranks);
    const ProcessResult result = launch(place, ranks, command(place, name, settings));
    INFO(ranks << ": " << result.err);
    REQUIRE(result.code == 0);
    CHECK(measured_peaks(place, name) == planned_peaks(place, ranks, settings));
  }
}

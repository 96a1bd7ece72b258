// The trace of a step on several ranks. Clocks are the machine's here, so only the order of things
// is looked at; tests/cuda/program/test_trace.cpp looks at times.
#include "launch.h"
#include "support/trace.h"

using namespace lomo::test;

TEST_CASE("a trace of ranks shows what was issued beside what, on each of them") {
  const Workplace place;
  make_model_and_data(place);
  write_short_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})",
               R"(, "memory": {"tile_bytes": 128}, "eval": {"before": false, "at_end": false})");
  for (const int ranks : {2, 3}) {
    const ProcessResult result =
        launch(place, ranks,
               command(place, "run" + std::to_string(ranks),
                       {"--set", "batch.sequences=" + std::to_string(ranks), "--trace",
                        place / "trace.json", "--trace-steps", "2"}));
    INFO(result.err);
    REQUIRE(result.code == 0);
    CHECK(count_lines(result.err, "trace of step 2 in") == 1);
    const auto trace = read_trace(place / "trace.json");
    REQUIRE(trace.size() == static_cast<std::size_t>(ranks));
    for (auto const& [rank, recorded] : trace) {
      INFO("rank " << rank << " of " << ranks);
      REQUIRE(recorded.steps.size() == 1);
      CHECK(recorded.steps.front().name == "step 2");
      for (Traced const& event : recorded.events) {
        CHECK(event.issued <= event.begin);
        CHECK(event.issued >= recorded.steps.front().begin);
      }

      // Forward: each of 7 matrices of 2 blocks once. Two backwards: each again for the
      // recomputation and once more for its gradient, but for down, which the recomputation does
      // not need, and up, which still lies there then.
      const auto gathers = gathers_of(recorded);
      CHECK(gathers.size() == 2u * (7 + 2 * (6 + 6)));
      std::size_t first = 0;
      for (Gathered const& gathered : gathers) {
        INFO(gathered.gather.tensor << " at " << gathered.gather.begin);
        CHECK(gathered.product.begin >= gathered.gather.end - kPrinted);
        if (!gathered.before) {
          first += 1;
          continue;
        }
        CHECK(gathered.gather.issued <= gathered.before->begin);
      }
      CHECK(first == 1);  // before the first product of the step there is none

      for (const Parcel parcel : {Parcel::tile, Parcel::factors}) {
        const auto sent = sent_by(recorded, parcel);
        CHECK_FALSE(sent.empty());
        for (Sent const& one : sent) {
          INFO(one.exchange.tensor << " at " << one.exchange.begin);
          CHECK_FALSE(one.overlapped.empty());
        }
      }
    }
  }
}

TEST_CASE("ranks that were told to trace differently are told so") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})", "");
  const ProcessResult result = launch(
      place, {command(place, "run"), command(place, "run", {"--trace", place / "trace.json"})});
  CHECK(result.code == 2);
  CHECK(contains(result.err, "rank 1 has --trace"));
}

// The trace of a step on emulated GPUs, whose events have times of a clock that is computed: all
// streams run at once and every piece of work takes as long as any other (tests/cuda_host), so what
// a trace shows beside each other may run so on any device.
#include "hosted.h"
#include "launch/launch.h"
#include "support/trace.h"

using namespace lomo::test;

namespace {

bool at_once(Traced const& a, Traced const& b) {
  return a.begin < b.end && b.begin < a.end;
}

}  // namespace

TEST_CASE("what two GPUs send each other is hidden under what they compute") {
  const Environment gpu = hosted();
  const Workplace place;
  make_model_and_data(place);
  write_short_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})",
               R"(, "memory": {"tile_bytes": 128}, "eval": {"before": false, "at_end": false})");
  const ProcessResult result =
      launch(place, 2,
             command(place, "run",
                     {"--device", "cuda", "--set", "train.max_steps=2", "--set",
                      "batch.sequences=2", "--trace", place / "trace.json", "--trace-steps", "2"}));
  INFO(result.err);
  REQUIRE(result.code == 0);
  const auto trace = read_trace(place / "trace.json");
  REQUIRE(trace.size() == 2);
  for (auto const& [rank, recorded] : trace) {
    INFO("rank " << rank);
    std::size_t first = 0;
    for (Gathered const& gathered : gathers_of(recorded)) {
      INFO(gathered.gather.tensor << " at " << gathered.gather.begin);
      CHECK(gathered.product.begin >= gathered.gather.end - kPrinted);
      if (!gathered.before) {
        first += 1;
        continue;
      }
      CHECK(gathered.gather.begin < gathered.before->end);
    }
    CHECK(first == 1);  // before the first product of the step there is none
    for (const Parcel parcel : {Parcel::tile, Parcel::factors}) {
      const auto sent = sent_by(recorded, parcel);
      CHECK_FALSE(sent.empty());
      for (Sent const& one : sent) {
        INFO(one.exchange.tensor << " at " << one.exchange.begin);
        CHECK(std::ranges::any_of(one.overlapped,
                                  [&](Traced const& work) { return at_once(work, one.exchange); }));
      }
    }
  }
}

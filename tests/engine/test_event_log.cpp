// When operations ran, as an event log has it.
#include <string>
#include <vector>

#include "engines.h"
#include "support/events.h"

using namespace lomo;
using namespace lomo::test;

namespace {

/// Four operations, one of which waits for the others.
struct Work {
  explicit Work(Backend& backend)
      : be(backend),
        x(make(be, {64, 48}, DType::f32, random_values("x", 64 * 48))),
        w(make(be, {32, 48}, DType::f32, random_values("w", 32 * 48))),
        y(make_poisoned(be, {64, 32}, DType::f32)),
        stats(make_poisoned(be, Shape(2), DType::f64)) {}
  void run() const {
    be.zero(stats);
    be.linear(y, x, w);
    be.accumulate_squared_norm(stats, y, 1);
    static_cast<void>(values(be, stats));
  }
  static std::vector<std::string> names() {
    return {"zero", "linear", "accumulate_squared_norm", "download"};
  }

  Backend& be;
  Buffer x, w, y, stats;
};

std::vector<std::string> names_of(EventLog const& log) {
  std::vector<std::string> names;
  for (EventLog::Event const& event : work_of(log)) names.emplace_back(event.name);
  return names;
}

}  // namespace

TEST_CASE("an engine with an event log notes what it runs, when, and what it costs") {
  const auto be = engine();
  const Work work(*be);
  work.run();
  for (int round = 0; round < 2; ++round) {
    EventLog log;
    be->ledger().restart();
    be->set_event_log(&log);
    work.run();
    be->set_event_log(nullptr);
    work.run();
    CHECK(names_of(log) == Work::names());
    EventLog::Time issued, free;
    for (EventLog::Event const& event : work_of(log)) {
      INFO(event.name);
      CHECK(event.track == Track::compute);
      CHECK(event.fence == 0);
      CHECK(event.issued >= issued);
      REQUIRE(event.timed());
      CHECK(event.begin >= free);  // first in, first out
      CHECK(event.end > event.begin);
      Ledger::Op const& booked = be->ledger().ops().find(event.name)->second;
      REQUIRE(booked.calls == 2);
      CHECK(event.cost.flops == booked.cost.flops / 2);
      CHECK(event.cost.bytes == booked.cost.bytes / 2);
      issued = event.issued;
      free = event.end;
    }
  }
}

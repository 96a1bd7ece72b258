// When operations ran, as a timeline notes it.
#include <string>
#include <vector>

#include "engines.h"

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

std::vector<std::string> names_of(Profile const& profile) {
  std::vector<std::string> names;
  for (Profile::Span const& span : profile.spans()) names.emplace_back(span.name);
  return names;
}

}  // namespace

TEST_CASE("an engine that is observed notes what it runs, when, and what it costs") {
  const auto be = engine();
  const Work work(*be);
  work.run();
  for (int round = 0; round < 2; ++round) {
    Profile profile;
    be->ledger().restart();
    be->set_profile(&profile);
    work.run();
    be->set_profile(nullptr);
    work.run();
    CHECK(names_of(profile) == Work::names());
    Profile::Time issued, free;
    for (Profile::Span const& span : profile.spans()) {
      INFO(span.name);
      CHECK(span.track == Track::compute);
      CHECK(span.exchange == 0);
      CHECK(span.issued >= issued);
      REQUIRE(span.known());
      CHECK(span.begin >= free);  // first in, first out
      CHECK(span.end > span.begin);
      Ledger::Op const& booked = be->ledger().ops().find(span.name)->second;
      REQUIRE(booked.calls == 2);
      CHECK(span.cost.flops == booked.cost.flops / 2);
      CHECK(span.cost.bytes == booked.cost.bytes / 2);
      issued = span.issued;
      free = span.end;
    }
  }
}

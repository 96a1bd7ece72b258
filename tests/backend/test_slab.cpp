#include <map>
#include <optional>
#include <string>
#include <vector>

#include "lomo/backend/slab.h"
#include "lomo/core/error.h"
#include "lomo/core/random.h"
#include "support/catch.h"

using namespace lomo;

namespace {

constexpr std::size_t kUnit = Slab::kAlignment;

struct Memory {
  explicit Memory(std::size_t units)
      : bytes(units * kUnit), slab(bytes.data(), bytes.size(), Device::cpu, ledger) {}
  Buffer take(std::size_t units, Category category = Category::activations) {
    return slab.allocate(Shape(static_cast<std::int64_t>(units * kUnit / 4)), DType::f32, category,
                         "a block");
  }
  std::size_t unit_of(Buffer const& b) const {
    return static_cast<std::size_t>(static_cast<std::byte*>(b.tensor().raw()) - bytes.data()) /
           kUnit;
  }
  std::vector<std::byte> bytes;
  Ledger ledger;
  Slab slab;
};

}  // namespace

TEST_CASE("the slab gives the smallest hole that fits, the lowest among equals") {
  Memory m(100);
  Buffer a = m.take(10);
  Buffer b = m.take(4);
  Buffer c = m.take(3);
  Buffer d = m.take(4);
  Buffer e = m.take(1);
  CHECK(m.unit_of(e) == 21);
  b.reset();  // holes: [10, 14), [17, 21), [22, 100)
  d.reset();
  Buffer three = m.take(3);
  CHECK(m.unit_of(three) == 10);
  Buffer four = m.take(4);
  CHECK(m.unit_of(four) == 17);
  Buffer five = m.take(5);
  CHECK(m.unit_of(five) == 22);
}

TEST_CASE("freed neighbours merge") {
  Memory m(12);
  Buffer a = m.take(4);
  Buffer b = m.take(4);
  Buffer c = m.take(4);
  a.reset();
  c.reset();
  CHECK_THROWS_AS(m.take(5), Error);
  b.reset();
  Buffer all = m.take(12);
  CHECK(m.unit_of(all) == 0);
}

TEST_CASE("sizes round up to the alignment and nothing takes nothing") {
  Memory m(4);
  Buffer one = m.slab.allocate(Shape(1), DType::bf16, Category::weights, "w");
  CHECK(m.ledger.current(Category::weights) == kUnit);
  Buffer none = m.slab.allocate(Shape(0, 7), DType::f32, Category::gradients, "g");
  CHECK(m.ledger.current(Category::gradients) == 0);
  CHECK(none);
  CHECK(none.tensor().shape() == Shape(0, 7));
  Buffer moved = std::move(one);
  CHECK_FALSE(one);
  CHECK(m.ledger.current() == kUnit);
  moved.reset();
  CHECK(m.ledger.current() == 0);
  CHECK(m.ledger.peak() == kUnit);
}

TEST_CASE("a full slab says what was wanted and what is held") {
  Memory m(1 << 14);  // 4 MiB
  Buffer w = m.take(1 << 13, Category::weights);
  std::string message;
  try {
    Buffer more = m.slab.allocate(Shape(1 << 20), DType::f32, Category::workspace, "logits");
  } catch (Error const& error) {
    message = error.what();
    CHECK(error.code() == Exit::memory);
  }
  CHECK(message.find("logits needs 4 MiB of 4 MiB") != std::string::npos);
  CHECK(message.find("weights 2 MiB") != std::string::npos);
  CHECK(m.ledger.current() == (1u << 13) * kUnit);
}

TEST_CASE(
    "any sequence of calls keeps blocks apart, repeats its offsets and balances the accounting") {
  const auto play = [](Memory& m, bool check) {
    RandomStream random(random_key(1, "test", "slab", 0));
    std::map<std::size_t, Buffer> live;
    std::map<std::size_t, std::size_t> spans;  // unit -> units
    std::vector<std::size_t> offsets;
    std::size_t held = 0;
    std::size_t maximum = 0;
    for (std::size_t i = 0; i < 4000; ++i) {
      if (random.below(5) < 3) {
        const std::size_t units = 1 + random.below(random.below(4) == 0 ? 60 : 9);
        std::optional<Buffer> got;
        try {
          got = m.take(units, static_cast<Category>(random.below(kCategories)));
        } catch (Error const&) {
          offsets.push_back(SIZE_MAX);
          continue;
        }
        const std::size_t at = m.unit_of(*got);
        offsets.push_back(at);
        if (check) {
          auto after = spans.lower_bound(at);
          if (after != spans.end()) REQUIRE(at + units <= after->first);
          if (after != spans.begin()) {
            auto before = std::prev(after);
            REQUIRE(before->first + before->second <= at);
          }
        }
        spans[at] = units;
        live.emplace(at, std::move(*got));
        held += units;
        maximum = std::max(maximum, held);
      } else if (!live.empty()) {
        auto victim =
            std::next(live.begin(), static_cast<std::ptrdiff_t>(random.below(live.size())));
        held -= spans[victim->first];
        spans.erase(victim->first);
        live.erase(victim);
      }
      if (check) REQUIRE(m.ledger.current() == held * kUnit);
    }
    CHECK(m.ledger.peak() == maximum * kUnit);
    CHECK(m.ledger.extent() <= m.bytes.size());
    live.clear();
    CHECK(m.ledger.current() == 0);
    Buffer all = m.take(m.bytes.size() / kUnit);  // every hole has merged
    return offsets;
  };
  Memory first(400);
  Memory second(400);
  CHECK(play(first, true) == play(second, false));
}

TEST_CASE("what is freed while it is held back stays taken until its mark is given back") {
  Memory m(100);
  Buffer a = m.take(10);
  Buffer b = m.take(10);
  m.slab.defer_free(1);
  a.reset();
  m.slab.defer_free(2);
  b.reset();
  m.slab.defer_free(0);
  CHECK(m.ledger.current() == 20 * kUnit);
  Buffer c = m.take(10);
  CHECK(m.unit_of(c) == 20);
  c.reset();  // free at once
  CHECK(m.ledger.current() == 20 * kUnit);
  m.slab.free_deferred(1);
  CHECK(m.ledger.current() == 10 * kUnit);
  c = m.take(10);
  CHECK(m.unit_of(c) == 0);
  m.slab.free_deferred(7);
  CHECK(m.ledger.current() == 10 * kUnit);
  Buffer rest = m.take(90);
  CHECK(m.unit_of(rest) == 10);
}

TEST_CASE("the ledger remembers what the peak was made of") {
  Memory m(100);
  Buffer w = m.take(10, Category::weights);
  { Buffer a = m.take(30, Category::activations); }
  Buffer g = m.take(20, Category::gradients);
  CHECK(m.ledger.peak() == 40 * kUnit);
  CHECK(m.ledger.at_peak()[static_cast<int>(Category::activations)] == 30 * kUnit);
  CHECK(m.ledger.at_peak()[static_cast<int>(Category::gradients)] == 0);
  CHECK(m.ledger.peak_by_category()[static_cast<int>(Category::gradients)] == 20 * kUnit);
  m.ledger.restart();
  CHECK(m.ledger.peak() == 30 * kUnit);
}

#pragma once
#include <regex>
#include <string>
#include <vector>

#include "launch/launch.h"

/// What `lomo-bench comm` must print.
namespace lomo::test {

/// Of a model of width 64 with 4 heads, 2 of keys, and MLPs of 96; gradient tiles of 8 rows of 64,
/// 24 tokens a rank.
inline Arguments small_comm() {
  Arguments all{"comm", "--config", "llama7b.json", "--tokens=24", "--repetitions=3"};
  for (char const* setting :
       {"model.shape.hidden_size=64", "model.shape.num_attention_heads=4",
        "model.shape.num_key_value_heads=2", "model.shape.intermediate_size=96",
        "model.shape.num_hidden_layers=2", "memory.tile_bytes=2048"}) {
    all.insert(all.end(), {"--set", setting});
  }
  return all;
}

/// A line of the table.
struct ExchangeTime {
  double received = 0, median = 0, minimum = 0, maximum = 0, rate = 0;  // MiB, ms, GB/s
};

inline ExchangeTime line_of(std::string const& table, std::string const& begin) {
  const std::regex line("(^|\n)" + begin +
                        " +([0-9.]+) +([0-9.]+) +([0-9.]+) +([0-9.]+) +([0-9.]+)\n");
  std::smatch found;
  INFO(begin << " in\n" << table);
  REQUIRE(std::regex_search(table, found, line));
  const auto number = [&](std::size_t i) { return std::stod(found[i]); };
  return {number(2), number(3), number(4), number(5), number(6)};
}

/// A gather of O x I weights and a tile of t rows on 2 ranks, 2 bytes an element.
inline void check_comm_of_two(std::string const& table) {
  constexpr double kMiB = 0x1p20;
  const auto check = [&](std::string const& begin, double bytes) {
    const ExchangeTime got = line_of(table, begin);
    INFO(begin);
    CHECK(got.received == Approx(bytes / kMiB).margin(0.0005));
    CHECK(got.median > 0);
    CHECK(got.minimum <= got.median);
    CHECK(got.median <= got.maximum);
    constexpr double kDecimals = 0.00051;  // all have three decimals
    CHECK(got.rate >= bytes / (got.median + kDecimals) / 1e6 - kDecimals);
    CHECK(got.rate <= bytes / (got.median - kDecimals) / 1e6 + kDecimals);
  };
  check("all_gather +q_proj", 32.0 * 64 * 2);
  check("all_gather +k_proj, v_proj", 16.0 * 64 * 2);
  check("all_gather +down_proj", 32.0 * 96 * 2);
  check("all_to_all +8 rows of q_proj", 8.0 * 64 * 2);
  check("all_to_all +5 rows of down_proj", 5.0 * 96 * 2);
  check("all_to_all +one rank's dy of gate_proj, up_proj", 24.0 * 2 * 96 * 2);
  check("all_gather +the gradient of a norm", 64.0 * 4);
  check("host +8 bytes of each rank", 8);
  // A block's gathers, by how often (docs/ARCHITECTURE.md), and its tiles in two backwards.
  const double square = 32.0 * 64, keys = 16.0 * 64, wide = 48.0 * 64, down = 32.0 * 96;
  const double gathers = 5 * (2 * square + 2 * keys + wide) + 3 * (wide + down);
  const double tiles = 2 * (2 * square + 2 * keys + 2 * wide + down);
  const std::regex total("in a step with a norm pass: ([0-9.]+) MiB received");
  std::smatch found;
  INFO(table);
  REQUIRE(std::regex_search(table, found, total));
  CHECK(std::stod(found[1]) == Approx(2 * (gathers + tiles) / kMiB).margin(0.0005));
}

}  // namespace lomo::test

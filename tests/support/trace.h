#pragma once
#include <cstdint>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "support/catch.h"

/// What `lomo-train --trace` wrote, and what it must show of ranks.
namespace lomo::test {

/// Two times that are one may differ by this: a beginning and a length are printed with three
/// decimals.
inline constexpr double kPrinted = 0.0011;

/// An operation or exchange; times in microseconds.
struct Traced {
  std::string name, queue, tensor;
  double begin = 0, end = 0, issued = 0;
  double flops = 0, received = 0;
  std::int64_t exchange = 0;

  /// Of a matrix of a block.
  bool is_gather() const { return name == "all_gather" && is_of_block(); }
  bool is_all_to_all() const { return name == "all_to_all" && is_of_block(); }
  bool is_of_block() const { return tensor.find("_proj.weight") != std::string::npos; }
  /// Of the Gram matrices that a norm is made of, and their factors.
  bool is_of_norm() const { return tensor.starts_with("norm of "); }
  bool is_wait() const { return name == "wait"; }
  /// With a weight.
  bool is_product() const {
    return (name == "linear" || name == "linear_backward_input") && !is_of_norm();
  }
  bool computes() const { return queue != "communication" && queue != "steps" && !is_wait(); }
};

struct TracedRank {
  std::vector<Traced> steps;   // begin, end, name
  std::vector<Traced> events;  // in the order in which the host issued them
};

/// By rank. The file must be as the viewers want it: one JSON object, every event complete and on a
/// thread with a name.
inline std::map<int, TracedRank> read_trace(std::string const& file) {
  std::ifstream stream(file);
  const auto json = nlohmann::json::parse(stream);
  std::map<std::pair<int, int>, std::string> threads;
  std::map<int, std::string> processes;
  std::map<int, TracedRank> ranks;
  for (auto const& event : json.at("traceEvents")) {
    const int pid = event.at("pid");
    if (event.at("ph") == "M") {
      if (event.at("name") == "process_name") processes[pid] = event.at("args").at("name");
      if (event.at("name") == "thread_name") {
        threads[{pid, event.at("tid")}] = event.at("args").at("name");
      }
      continue;
    }
    REQUIRE(event.at("ph") == "X");
    REQUIRE(processes.at(pid) == "rank " + std::to_string(pid));
    Traced traced;
    traced.name = event.at("name");
    traced.queue = threads.at({pid, event.at("tid")});
    traced.begin = event.at("ts");
    const double lasts = event.at("dur");
    traced.end = traced.begin + lasts;
    CHECK(traced.begin >= 0);
    CHECK(lasts >= 0);
    if (traced.queue == "steps") {
      ranks[pid].steps.push_back(traced);
      continue;
    }
    auto const& args = event.at("args");
    traced.issued = args.at("issued");
    traced.tensor = args.value("tensor", "");
    traced.flops = args.value("flops", 0.0);
    traced.received = args.value("received", 0.0);
    traced.exchange = args.value("exchange", std::int64_t{0});
    ranks[pid].events.push_back(traced);
  }
  return ranks;
}

/// Events of one rank around a gather of a weight.
struct Gathered {
  Traced gather;
  Traced product;                // the first with that weight
  std::optional<Traced> before;  // the last product issued before that
};

inline std::vector<Gathered> gathers_of(TracedRank const& rank) {
  std::vector<Gathered> all;
  for (std::size_t i = 0; i < rank.events.size(); ++i) {
    if (!rank.events[i].is_gather()) continue;
    Gathered gathered{rank.events[i], {}, {}};
    for (Traced const& event : rank.events) {
      const auto at = static_cast<std::size_t>(&event - rank.events.data());
      if (!event.is_product()) continue;
      if (at > i && event.tensor == gathered.gather.tensor) {
        gathered.product = event;
        break;
      }
      gathered.before = event;
    }
    REQUIRE_FALSE(gathered.product.name.empty());
    all.push_back(gathered);
  }
  return all;
}

/// A tile of a gradient on its way to its owner, or factors on their way to another rank, and what
/// was issued until it was waited for. Factors of one layer are waited for together.
struct Sent {
  Traced exchange;
  std::vector<Traced> overlapped;
};

enum class Parcel : std::uint8_t { tile, factors };

inline std::vector<Sent> sent_by(TracedRank const& rank, Parcel parcel) {
  std::vector<Sent> all;
  for (std::size_t i = 0; i < rank.events.size(); ++i) {
    Traced const& exchange = rank.events[i];
    if (!exchange.is_all_to_all() || exchange.is_of_norm() != (parcel == Parcel::factors)) continue;
    Sent sent{exchange, {}};
    for (std::size_t j = i + 1; j < rank.events.size(); ++j) {
      Traced const& event = rank.events[j];
      if (event.is_wait() && event.exchange >= sent.exchange.exchange) break;
      if (event.computes()) sent.overlapped.push_back(event);
    }
    all.push_back(sent);
  }
  return all;
}

}  // namespace lomo::test

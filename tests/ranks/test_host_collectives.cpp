#include "lomo/parallel/host_collectives.h"

#include <string>
#include <vector>

#include "ranks.h"
#include "support/catch.h"
#include "support/errors.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("words of any length reach every rank in rank order") {
  Communicator& host = ranks().host();
  const auto words =
      all_gather_strings(host, std::string(static_cast<std::size_t>(host.rank()), 'x'));
  REQUIRE(words.size() == static_cast<std::size_t>(host.size()));
  for (std::size_t q = 0; q < words.size(); ++q) CHECK(words[q] == std::string(q, 'x'));
}

TEST_CASE("what rank 0 finds, or fails with, is the same on all") {
  Communicator& host = ranks().host();
  int calls = 0;
  CHECK(broadcast_from_root(host, [&] {
          ++calls;
          return std::string("found");
        }) == "found");
  CHECK(calls == (host.rank() == 0 ? 1 : 0));
  const std::string message = error_of(
      Exit::data, [&] { on_root(host, [&] { throw Error(Exit::data, "no such file"); }); });
  CHECK(message == "no such file");
}

TEST_CASE("what fails on some ranks fails on all, with the words of the lowest, which is named") {
  Communicator& host = ranks().host();
  all_ranks_or_throw(host, [] {});
  const int first = host.size() > 2 ? 1 : 0;
  const std::string message = error_of(Exit::memory, [&] {
    all_ranks_or_throw(host, [&] {
      if (host.rank() >= first) throw Error(Exit::memory, "no room " + std::to_string(host.rank()));
    });
  });
  CHECK(message == (first == 0 ? "no room 0" : "rank 1: no room 1"));
}

TEST_CASE("one rank is enough for any") {
  Communicator& host = ranks().host();
  CHECK(any_rank(host, host.rank() == host.size() - 1));
  CHECK_FALSE(any_rank(host, false));
}

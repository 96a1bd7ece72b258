// The CUDA engine's exchanges: every rank runs the same cases, on an emulated GPU of its own.
#include <nccl.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "cuda/communicator.h"
#include "cuda/device.h"
#include "ranks/ranks.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/events.h"
#include "support/tensors.h"

using namespace lomo;
using namespace lomo::test;
using std::chrono::seconds;

namespace {

using Counts = std::vector<std::int64_t>;

struct Bench {
  explicit Bench(seconds timeout = seconds(60))
      : communicator(cuda::make_communicator(engine, ranks().host(), timeout)) {}
  cuda::CudaBackend engine{{.memory = std::size_t{64} << 20}};
  std::unique_ptr<Communicator> communicator;
  int rank = communicator->rank();
  int size = communicator->size();

  Buffer make(std::vector<float> const& values, std::int64_t rows, std::int64_t cols) {
    return test::make(engine, Shape(rows, cols), DType::f32, values);
  }
};

/// What rank `from` has for rank `to` (or for all, to = -1) in a round: rows of `cols` numbers.
std::vector<float> words(int from, int to, int round, std::int64_t rows, std::int64_t cols) {
  return random_values(
      "words " + std::to_string(from) + " " + std::to_string(to) + " " + std::to_string(round),
      rows * cols);
}

void append(std::vector<float>& all, std::vector<float> const& more) {
  all.insert(all.end(), more.begin(), more.end());
}

}  // namespace

TEST_CASE("all_gather starts after what was computed before it, and ends before what waits") {
  Bench bench;
  for (int round = 0; round < 6; ++round) {
    const std::int64_t cols = 1 + 36 * (round % 3);
    Counts rows;
    std::vector<float> wanted;
    for (int q = 0; q < bench.size; ++q) {
      rows.push_back(round == 3 ? 0 : drawn(5, q, round));
      append(wanted, words(q, -1, round, rows.back(), cols));
    }
    const std::int64_t own = rows[static_cast<std::size_t>(bench.rank)];
    const auto total = static_cast<std::int64_t>(wanted.size()) / cols;
    const Buffer from = bench.make(words(bench.rank, -1, round, own, cols), own, cols);
    const Buffer mine = make_poisoned(bench.engine, {own, cols}, DType::f32);
    const Buffer all = make_poisoned(bench.engine, {total, cols}, DType::f32);
    const Buffer seen = make_poisoned(bench.engine, {total, cols}, DType::f32);
    bench.engine.copy(mine, from);  // on the compute stream
    const auto fence = bench.communicator->all_gather(all, mine, rows);
    bench.communicator->wait(fence);
    bench.engine.copy(seen, all);
    bench.engine.zero(all);
    INFO("rank " << bench.rank << " round " << round);
    CHECK(raw_values<float>(bench.engine, seen) == wanted);
  }
}

TEST_CASE("an event log shows what is computed beside an exchange, and what waits for it") {
  Bench bench;
  const Counts rows(static_cast<std::size_t>(bench.size), 2);
  const Buffer all = make_poisoned(bench.engine, {2 * bench.size, 3}, DType::f32);
  const Buffer mine = make_poisoned(bench.engine, {2, 3}, DType::f32);
  const Buffer other = make_poisoned(bench.engine, {2, 3}, DType::f32);
  EventLog log;
  bench.engine.set_event_log(&log);
  bench.engine.zero(mine);
  const auto fence = bench.communicator->all_gather(all, mine, rows);
  bench.engine.zero(other);
  bench.communicator->wait(fence);
  bench.engine.zero(all);
  bench.engine.set_event_log(nullptr);

  std::map<std::string, std::vector<EventLog::Event>> by_name;
  for (EventLog::Event const& event : work_of(log)) {
    REQUIRE(event.timed());
    by_name[std::string(event.name)].push_back(event);
  }
  REQUIRE(by_name["all_gather"].size() == 1);
  REQUIRE(by_name["wait"].size() == 1);
  REQUIRE(by_name["zero"].size() == 3);
  auto const& zeros = by_name["zero"];
  EventLog::Event const &gather = by_name["all_gather"].front(), &wait = by_name["wait"].front();
  CHECK(gather.track == Track::communication);
  CHECK(gather.fence == fence);
  CHECK(wait.fence == fence);
  CHECK(gather.begin >= zeros[0].end);  // it reads what that wrote
  CHECK(zeros[1].begin < gather.end);   // beside it
  CHECK(wait.end >= gather.end);
  CHECK(zeros[2].begin >= wait.end);
}

TEST_CASE("all_gather of what lies at its own place") {
  Bench bench;
  const Counts rows(static_cast<std::size_t>(bench.size), 2);
  const Buffer all = make_poisoned(bench.engine, {2 * bench.size, 3}, DType::f32);
  const Tensor mine = all.tensor().row_block(2 * bench.rank, 2);
  fill(bench.engine, mine, words(bench.rank, -1, 9, 2, 3));
  bench.communicator->wait(bench.communicator->all_gather(all, mine, rows));
  std::vector<float> wanted;
  for (int q = 0; q < bench.size; ++q) append(wanted, words(q, -1, 9, 2, 3));
  CHECK(raw_values<float>(bench.engine, all) == wanted);
}

TEST_CASE("all_to_all gives every rank its rows in rank order, several under way at once") {
  Bench bench;
  constexpr int kRounds = 20;  // more than there are events
  struct Round {
    Buffer sent, received;
    std::vector<float> wanted;
    Communicator::Fence fence;
  };
  std::vector<Round> rounds;
  for (int round = 0; round < kRounds; ++round) {
    const std::int64_t cols = 1 + round % 5;
    const auto between = [&](int a, int b) { return drawn(4, a, b, round); };
    Counts to, from;
    std::vector<float> sent, wanted;
    for (int q = 0; q < bench.size; ++q) {
      to.push_back(between(bench.rank, q));
      from.push_back(between(q, bench.rank));
      append(sent, words(bench.rank, q, round, to.back(), cols));
      append(wanted, words(q, bench.rank, round, from.back(), cols));
    }
    const auto rows = [&](std::vector<float> const& v) {
      return static_cast<std::int64_t>(v.size()) / cols;
    };
    Round r{bench.make(sent, rows(sent), cols),
            make_poisoned(bench.engine, {rows(wanted), cols}, DType::f32), wanted, 0};
    r.fence = bench.communicator->all_to_all(r.received, r.sent, from, to);
    rounds.push_back(std::move(r));
  }
  for (Round const& r : rounds) {
    bench.communicator->wait(r.fence);
    CHECK(raw_values<float>(bench.engine, r.received) == r.wanted);
  }
}

TEST_CASE("host collectives go the way of the launcher") {
  Bench bench;
  const std::vector<int> all = bench.communicator->all_gather_host(10 + bench.rank);
  for (int q = 0; q < bench.size; ++q) CHECK(all[static_cast<std::size_t>(q)] == 10 + q);
}

// Run by itself, on two ranks: the second leaves, the first must say so and not hang.
TEST_CASE("a rank that does not answer is lost", "[.lost]") {
  Bench bench(seconds(1));
  const Buffer x = bench.make({1, 2}, 1, 2);
  const Buffer all = make_poisoned(bench.engine, {2, 2}, DType::f32);
  if (bench.rank == 0) {
    const std::string text = error_of(Exit::communication, [&] {
      bench.communicator->wait(bench.communicator->all_gather(all, x, Counts{1, 1}));
      values(bench.engine, all);
    });
    CHECK(contains(text, "NCCL, rank 0"));
  }
  bench.communicator->barrier();  // the second comes here at once and exchanges nothing
}

// Run by itself, on two ranks: the second never comes to NCCL's first meeting.
TEST_CASE("a rank that NCCL waits for in vain is lost", "[.absent]") {
  if (ranks().host().rank() == 0) {
    const std::string text = error_of(Exit::communication, [] { Bench bench(seconds(1)); });
    CHECK(contains(text, "another rank does not answer for 1 s"));
  } else {
    cuda::CudaBackend engine{{.memory = std::size_t{1} << 20}};
    ranks().host().all_gather_host(cuda::gpu_identity());
    ranks().host().all_gather_host(ncclUniqueId{});
  }
  ranks().host().barrier();
}

// Run by itself, on two ranks that have the same GPU.
TEST_CASE("ranks that were given one GPU are told so", "[.shared]") {
  const std::string text = error_of(Exit::usage, [] { Bench bench; });
  CHECK(contains(text, "ranks 0 and 1 were given the same GPU"));
}

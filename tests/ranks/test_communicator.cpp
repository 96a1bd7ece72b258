#include <atomic>
#include <chrono>
#include <cstdint>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "lomo/core/error.h"
#include "ranks.h"
#include "support/catch.h"
#include "support/errors.h"
#include "support/events.h"

using namespace lomo;
using namespace lomo::test;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

using Counts = std::vector<std::int64_t>;

std::int64_t total(Counts const& counts) {
  return std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
}

Buffer make(Backend& backend, std::int64_t rows, std::int64_t cols, DType dtype) {
  const Shape shape = cols == 0 ? Shape(rows) : Shape(rows, cols);
  return backend.allocate(shape, dtype, Category::communication, "test");
}

/// Bytes that tell which rank wrote them, for whom and where.
std::byte mark(int from, int to, std::size_t at) {
  return static_cast<std::byte>(from * 31 + to * 57 + static_cast<int>(at % 251));
}

void fill(Tensor t, int from, int to) {
  auto* const bytes = static_cast<std::byte*>(t.raw());
  for (std::size_t i = 0; i < t.bytes(); ++i) bytes[i] = mark(from, to, i);
}

void poison(Tensor t) {
  auto* const bytes = static_cast<std::byte*>(t.raw());
  for (std::size_t i = 0; i < t.bytes(); ++i) bytes[i] = std::byte{0xEE};
}

bool is(Tensor t, int from, int to) {
  auto const* const bytes = static_cast<std::byte const*>(t.raw());
  for (std::size_t i = 0; i < t.bytes(); ++i) {
    if (bytes[i] != mark(from, to, i)) return false;
  }
  return true;
}

/// Rows that rank q gives in round k; some of them none.
Counts rows_of_all(int size, int round) {
  Counts rows;
  for (int q = 0; q < size; ++q) rows.push_back(round == 3 ? 0 : drawn(5, q, round));
  return rows;
}

/// Rows that rank a sends to rank b in round k.
std::int64_t rows_between(int a, int b, int round) {
  return drawn(4, a, b, round);
}

struct Bench {
  std::unique_ptr<Backend> backend = make_cpu_backend({.threads = 1, .memory = 64u << 20});
  std::unique_ptr<Communicator> communicator = ranks().communicator(*backend);
  int rank = communicator->rank();
  int size = communicator->size();
};

}  // namespace

TEST_CASE("all_gather puts the rows of every rank in rank order, whatever each gives") {
  Bench bench;
  for (const DType dtype : {DType::f32, DType::bf16, DType::f64, DType::i32}) {
    for (const std::int64_t cols : {0, 1, 7}) {
      for (int round = 0; round < 4; ++round) {
        const Counts rows = rows_of_all(bench.size, round);
        const Buffer all = make(*bench.backend, total(rows), cols, dtype);
        const Buffer mine =
            make(*bench.backend, rows[static_cast<std::size_t>(bench.rank)], cols, dtype);
        poison(all);
        fill(mine, bench.rank, 0);
        bench.communicator->wait(bench.communicator->all_gather(all, mine, rows));
        std::int64_t first = 0;
        for (int q = 0; q < bench.size; ++q) {
          const std::int64_t count = rows[static_cast<std::size_t>(q)];
          CHECK(is(all.tensor().row_block(first, count), q, 0));
          first += count;
        }
      }
    }
  }
}

TEST_CASE("all_gather takes this rank's rows from their place in the result") {
  Bench bench;
  const Counts rows = rows_of_all(bench.size, 1);
  const Buffer all = make(*bench.backend, total(rows), 3, DType::bf16);
  poison(all);
  std::int64_t first = 0;
  for (int q = 0; q < bench.rank; ++q) first += rows[static_cast<std::size_t>(q)];
  const Tensor mine = all.tensor().row_block(first, rows[static_cast<std::size_t>(bench.rank)]);
  fill(mine, bench.rank, 0);
  bench.communicator->wait(bench.communicator->all_gather(all, mine, rows));
  first = 0;
  for (int q = 0; q < bench.size; ++q) {
    const std::int64_t count = rows[static_cast<std::size_t>(q)];
    CHECK(is(all.tensor().row_block(first, count), q, 0));
    first += count;
  }
}

TEST_CASE("an event log has exchanges as they ran, one after the other, and what waited for them") {
  Bench bench;
  const Counts rows(static_cast<std::size_t>(bench.size), 3);
  const Buffer all = make(*bench.backend, total(rows), 5, DType::f32);
  const Buffer mine = make(*bench.backend, 3, 5, DType::f32);
  const Buffer tiles = make(*bench.backend, total(rows), 5, DType::f32);
  const Buffer arrived = make(*bench.backend, total(rows), 5, DType::f32);
  EventLog log;
  bench.backend->set_event_log(&log);
  const auto gather = bench.communicator->all_gather(all, mine, rows);
  const auto exchange = bench.communicator->all_to_all(arrived, tiles, rows, rows);
  bench.communicator->wait(exchange);
  bench.backend->set_event_log(nullptr);
  if (bench.size == 1) return;  // alone nothing is exchanged

  const std::vector<EventLog::Event> work = work_of(log);
  REQUIRE(work.size() == 3);
  EventLog::Event const& first = work[0];
  EventLog::Event const& second = work[1];
  EventLog::Event const& wait = work[2];
  CHECK(first.name == "all_gather");
  CHECK(first.fence == gather);
  CHECK(first.cost.received == 60.0 * (bench.size - 1));
  CHECK(second.name == "all_to_all");
  CHECK(second.fence == exchange);
  CHECK(wait.name == "wait");
  CHECK(wait.track == Track::compute);
  CHECK(wait.fence == exchange);
  for (EventLog::Event const* event : {&first, &second}) {
    CHECK(event->track == Track::communication);
    CHECK(event->issued <= event->begin);
    CHECK(event->begin <= event->end);
  }
  CHECK(first.end <= second.begin);
  CHECK(second.issued <= wait.begin);
  CHECK(second.end <= wait.end);
}

TEST_CASE("all_to_all brings each rank what every other has for it") {
  Bench bench;
  for (int round = 0; round < 4; ++round) {
    Counts from, to;
    for (int q = 0; q < bench.size; ++q) {
      from.push_back(rows_between(q, bench.rank, round));
      to.push_back(rows_between(bench.rank, q, round));
    }
    const Buffer received = make(*bench.backend, total(from), 5, DType::bf16);
    const Buffer sent = make(*bench.backend, total(to), 5, DType::bf16);
    poison(received);
    std::int64_t first = 0;
    for (int q = 0; q < bench.size; ++q) {
      const std::int64_t count = to[static_cast<std::size_t>(q)];
      fill(sent.tensor().row_block(first, count), bench.rank, q);
      first += count;
    }
    bench.communicator->wait(bench.communicator->all_to_all(received, sent, from, to));
    first = 0;
    for (int q = 0; q < bench.size; ++q) {
      const std::int64_t count = from[static_cast<std::size_t>(q)];
      CHECK(is(received.tensor().row_block(first, count), q, bench.rank));
      first += count;
    }
  }
}

TEST_CASE("many exchanges are under way at once, and the last is done when all are") {
  Bench bench;
  constexpr int kExchanges = 12;
  const Counts rows(static_cast<std::size_t>(bench.size), 40);
  std::vector<Buffer> all, mine;
  Communicator::Fence last = 0;
  for (int k = 0; k < kExchanges; ++k) {
    all.push_back(make(*bench.backend, total(rows), 300, DType::f32));
    mine.push_back(make(*bench.backend, 40, 300, DType::f32));
    fill(mine.back(), bench.rank, k);
    last = bench.communicator->all_gather(all.back(), mine.back(), rows);
  }
  // A word of the hosts waits its turn behind them.
  const std::vector<int> told = bench.communicator->all_gather_host(bench.rank * 3);
  bench.communicator->wait(last);
  for (int q = 0; q < bench.size; ++q) {
    CHECK(told[static_cast<std::size_t>(q)] == q * 3);
    for (int k = 0; k < kExchanges; ++k) {
      CHECK(is(all[static_cast<std::size_t>(k)].tensor().row_block(40 * q, 40), q, k));
    }
  }
}

TEST_CASE("an exchange goes on while the host does something else") {
  Bench bench;
  constexpr std::int64_t kElements = 1 << 20;
  const Counts rows(static_cast<std::size_t>(bench.size), kElements);
  const Buffer all = make(*bench.backend, total(rows), 0, DType::i32);
  const Buffer mine = make(*bench.backend, kElements, 0, DType::i32);
  poison(all);
  std::fill_n(mine.tensor().data<std::int32_t>(), kElements, bench.rank);
  const auto fence = bench.communicator->all_gather(all, mine, rows);
  // Nobody waits: the last element of every rank arrives all the same.
  std::int32_t* const values = all.tensor().data<std::int32_t>();
  const auto arrived = [&](int q) {
    return std::atomic_ref(values[kElements * (q + 1) - 1]).load() == q;
  };
  const auto deadline = std::chrono::steady_clock::now() + seconds(20);
  for (int q = 0; q < bench.size; ++q) {
    while (!arrived(q) && std::chrono::steady_clock::now() < deadline) {
      std::this_thread::sleep_for(milliseconds(1));
    }
    CHECK(arrived(q));
  }
  bench.communicator->wait(fence);
}

TEST_CASE("nobody leaves a barrier before everyone has come") {
  Bench bench;
  using Clock = std::chrono::system_clock;  // ranks of one machine share it
  std::this_thread::sleep_for(milliseconds(20 * bench.rank));
  const auto came = Clock::now().time_since_epoch().count();
  bench.communicator->barrier();
  const auto left = Clock::now().time_since_epoch().count();
  for (const auto other : bench.communicator->all_gather_host(came)) CHECK(left >= other);
}

TEST_CASE(
    "bytes sent and received are the closed form, and the dry communicator accounts for the same") {
  Bench bench;
  const auto dry = make_dry_backend({});
  const auto dry_communicator = make_dry_communicator(*dry, bench.rank, bench.size);
  const Counts rows = rows_of_all(bench.size, 2);
  Counts from, to;
  for (int q = 0; q < bench.size; ++q) {
    from.push_back(rows_between(q, bench.rank, 1));
    to.push_back(rows_between(bench.rank, q, 1));
  }
  const std::int64_t own = rows[static_cast<std::size_t>(bench.rank)];
  const std::int64_t kept = to[static_cast<std::size_t>(bench.rank)];
  constexpr std::int64_t kCols = 6;
  const auto exchange = [&](Backend& backend, Communicator& communicator) {
    const Buffer all = make(backend, total(rows), kCols, DType::bf16);
    const Buffer mine = make(backend, own, kCols, DType::bf16);
    const Buffer received = make(backend, total(from), kCols, DType::f32);
    const Buffer sent = make(backend, total(to), kCols, DType::f32);
    communicator.all_gather(all, mine, rows);
    communicator.wait(communicator.all_to_all(received, sent, from, to));
    CHECK(communicator.all_gather_host(bench.rank).size() == static_cast<std::size_t>(bench.size));
  };
  exchange(*bench.backend, *bench.communicator);
  exchange(*dry, *dry_communicator);
  for (Backend const* backend : {bench.backend.get(), dry.get()}) {
    auto const& ops = backend->ledger().ops();
    const Cost gather = ops.find("all_gather")->second.cost;
    CHECK(gather.sent == static_cast<double>(own * (bench.size - 1) * kCols * 2));
    CHECK(gather.received == static_cast<double>((total(rows) - own) * kCols * 2));
    const Cost tiles = ops.find("all_to_all")->second.cost;
    CHECK(tiles.sent == static_cast<double>((total(to) - kept) * kCols * 4));
    CHECK(tiles.received == static_cast<double>((total(from) - kept) * kCols * 4));
  }
}

TEST_CASE("ranks that fail alike hear of each other, and can still speak") {
  const ProcessGroup::Failure failure{4, 77};
  const auto all = ranks().failures(failure, seconds(20));
  CHECK(all ==
        std::vector<ProcessGroup::Failure>(static_cast<std::size_t>(ranks().size()), failure));
  ranks().host().barrier();
}

// The hidden ones are started on their own: tests/CMakeLists.txt.

TEST_CASE("a rank that does not answer is named, with the call", "[.silent]") {
  Bench bench;
  REQUIRE(bench.size == 3);
  if (bench.rank == 1) {
    std::this_thread::sleep_for(seconds(30));  // the others end it
    return;
  }
  ranks().set_timeout(seconds(1));
  const Counts rows(3, 1);
  const Buffer all = make(*bench.backend, 3, 4, DType::f32);
  const Buffer mine = make(*bench.backend, 1, 4, DType::f32);
  const auto fence = bench.communicator->all_gather(all, mine, rows);
  const std::string message =
      error_of(Exit::communication, [&] { bench.communicator->wait(fence); });
  bool good = contains(message, "all_gather") && contains(message, "rank 1 ");
  // Nothing is exchanged afterwards, and nobody waits for it.
  good = good && error_of(Exit::communication, [&] { bench.communicator->barrier(); }) == message;
  const auto all_failures = ranks().failures({6, 1}, seconds(20));
  good = good && all_failures[static_cast<std::size_t>(bench.rank)].code == 6;
  good = good && all_failures[1].code == 0;
  if (!good) ranks().abort(1);
  std::this_thread::sleep_for(milliseconds(300 + 3000 * bench.rank));
  ranks().abort(6);
}

TEST_CASE("an exchange may be larger than MPI can count", "[.large]") {
  // About 5 GB for two ranks.
  const auto backend = make_cpu_backend({.threads = 1, .memory = std::size_t{6} << 30});
  const auto communicator = ranks().communicator(*backend);
  REQUIRE(communicator->size() == 2);
  const Counts rows{(std::int64_t{9} << 28) / (4096 * 2), 0};  // 2.25 GiB
  const bool gives = communicator->rank() == 0;
  const Buffer all = make(*backend, rows[0], 4096, DType::bf16);
  fill(all, gives ? 0 : 5, 0);
  const Tensor mine = all.tensor().row_block(0, gives ? rows[0] : 0);
  communicator->wait(communicator->all_gather(all, mine, rows));
  CHECK(is(all, 0, 0));
}

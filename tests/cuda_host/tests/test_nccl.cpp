// NCCL between processes: ranks are children of the test, which fail by their exit status.
#if __has_include(<nccl.h>)
#include <nccl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <functional>
#include <numeric>

#include "kernel_test.h"

using namespace cuda_host;
using namespace cuda_host::test;

namespace {

#define RANK_CHECK(what) \
  if (!(what)) rank_fails(__LINE__, #what)
void rank_fails(int line, char const* what) {
  std::fprintf(stderr, "rank: line %d: %s; %s\n", line, what, report().c_str());
  _exit(1);
}

/// Runs `rank_program` as each of `size` ranks and gives their exit statuses; 128 + signal if
/// killed.
std::vector<int> run_ranks(int size, std::function<void(int, ncclUniqueId)> const& rank_program) {
  ncclUniqueId id;
  REQUIRE(ncclGetUniqueId(&id) == ncclSuccess);
  std::vector<pid_t> children;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t child = fork();
    if (child == 0) {
      alarm(100);  // a rank that hangs ends
      try {
        rank_program(rank, id);
        _exit(0);
      } catch (...) {  // of a REQUIRE: this process is not the one that reports
        _exit(2);
      }
    }
    children.push_back(child);
  }
  std::vector<int> statuses;
  for (const pid_t child : children) {
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    statuses.push_back(WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
  }
  return statuses;
}

/// A communicator and a stream of their own on a fresh device, with another order for each rank.
struct Rank {
  Rank(int r, int size, ncclUniqueId id) {
    reset({Order::forward, static_cast<std::uint64_t>(r) + 5});
    RANK_CHECK(ncclCommInitRank(&comm, size, id, r) == ncclSuccess);
    RANK_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
  }
  ncclComm_t comm = nullptr;
  cudaStream_t stream = nullptr;
};

std::vector<float> numbers(int rank, std::size_t n) {
  std::vector<float> x(n);
  for (std::size_t i = 0; i < n; ++i) x[i] = static_cast<float>(100 * rank) + static_cast<float>(i);
  return x;
}

const std::vector<int> kAllDone3{0, 0, 0};

}  // namespace

TEST_CASE("nccl: gathers, sums and sends between three ranks") {
  const auto statuses = run_ranks(3, [](int rank, ncclUniqueId id) {
    const Rank r(rank, 3, id);
    constexpr std::size_t n = 100000;  // more than a socket holds
    float* const all = on_device<float>(3 * n);
    float* const mine = to_device(numbers(rank, n));
    RANK_CHECK(ncclAllGather(mine, all, n, ncclFloat32, r.comm, r.stream) == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    const std::vector<float> got = to_host(all, 3 * n);
    for (int q = 0; q < 3; ++q) {
      const auto from = got.begin() + q * static_cast<std::ptrdiff_t>(n);
      RANK_CHECK(std::equal(from, from + n, numbers(q, n).begin()));
    }
    // In place, and on the results of one another.
    RANK_CHECK(ncclAllReduce(mine, mine, n, ncclFloat32, ncclSum, r.comm, r.stream) == ncclSuccess);
    RANK_CHECK(ncclAllReduce(mine, mine, n, ncclFloat32, ncclMax, r.comm, r.stream) == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    RANK_CHECK(to_host(mine, n)[7] == 300 + 3 * 7);
    // All to all: rank a sends a + 1 elements to rank b, from one buffer into another.
    float* const out = to_device(numbers(rank, 9));
    float* const in = on_device<float>(9);
    RANK_CHECK(ncclGroupStart() == ncclSuccess);
    std::size_t to = 0, from = 0;
    for (int q = 0; q < 3; ++q) {
      const auto sends = static_cast<std::size_t>(rank) + 1,
                 takes = static_cast<std::size_t>(q) + 1;
      RANK_CHECK(ncclSend(out + to, sends, ncclFloat32, q, r.comm, r.stream) == ncclSuccess);
      RANK_CHECK(ncclRecv(in + from, takes, ncclFloat32, q, r.comm, r.stream) == ncclSuccess);
      to += sends;
      from += takes;
    }
    RANK_CHECK(ncclGroupEnd() == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    const std::vector<float> mixed = to_host(in, 6);
    std::size_t at = 0;
    for (int q = 0; q < 3; ++q) {
      for (int i = 0; i <= q; ++i, ++at) {
        RANK_CHECK(mixed[at] == static_cast<float>(100 * q + rank * (q + 1) + i));
      }
    }
    RANK_CHECK(ncclBroadcast(in, in, 6, ncclFloat32, 2, r.comm, r.stream) == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    RANK_CHECK(to_host(in, 1)[0] == 2);
    RANK_CHECK(ncclCommDestroy(r.comm) == ncclSuccess);
  });
  CHECK(statuses == kAllDone3);
}

TEST_CASE("nccl: a rank whose host is busy has sent what others wait for") {
  int busy[2];
  REQUIRE(pipe(busy) == 0);
  const auto statuses = run_ranks(2, [&](int rank, ncclUniqueId id) {
    const Rank r(rank, 2, id);
    float* const x = to_device(numbers(rank, 4));
    RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, r.comm, r.stream) == ncclSuccess);
    char token = 0;
    if (rank == 0) RANK_CHECK(read(busy[0], &token, 1) == 1);  // until rank 1 has its result
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    RANK_CHECK(to_host(x, 4)[3] == 106);
    if (rank == 1) RANK_CHECK(write(busy[1], &token, 1) == 1);
    RANK_CHECK(ncclCommDestroy(r.comm) == ncclSuccess);
  });
  close(busy[0]);
  close(busy[1]);
  CHECK(statuses == std::vector<int>{0, 0});
}

TEST_CASE("nccl: sizes and calls that do not belong together are named") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    const Rank r(rank, 2, id);
    float* const x = to_device(numbers(rank, 8));
    ncclGroupStart();
    ncclSend(x, rank == 0 ? 8 : 4, ncclFloat32, 1 - rank, r.comm, r.stream);
    ncclRecv(x, 4, ncclFloat32, 1 - rank, r.comm, r.stream);
    RANK_CHECK(ncclGroupEnd() == ncclSuccess);
    const cudaError_t end = cudaStreamSynchronize(r.stream);
    if (rank == 0) {
      RANK_CHECK(end == cudaSuccess);
    } else {
      RANK_CHECK(end == cudaErrorLaunchFailure);
      RANK_CHECK(report() ==
                 "rank 1 expects 4 elements of float32 by ncclSend from rank 0, which sent 8 "
                 "elements of float32 by ncclSend");
      ncclResult_t error = ncclSuccess;
      RANK_CHECK(ncclCommGetAsyncError(r.comm, &error) == ncclSuccess);
      RANK_CHECK(error == ncclInvalidUsage);
    }
  });
  CHECK(statuses == std::vector<int>{0, 0});
}

TEST_CASE("nccl: memory that is still being sent must not be written to") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    int reports = 0;
    for (const bool waits : {true, false}) {
      const Rank r(rank, 2, id);
      cudaStream_t other = nullptr;
      cudaEvent_t event = nullptr;
      RANK_CHECK(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking) == cudaSuccess);
      RANK_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
      float* const x = to_device(numbers(rank, 32));
      float* const y = on_device<float>(64);
      RANK_CHECK(ncclAllGather(x, y, 32, ncclFloat32, r.comm, r.stream) == ncclSuccess);
      RANK_CHECK(cudaEventRecord(event, r.stream) == cudaSuccess);
      if (waits) RANK_CHECK(cudaStreamWaitEvent(other, event, 0) == cudaSuccess);
      RANK_CHECK(cudaMemsetAsync(x, 0, 128, other) == cudaSuccess);
      cudaStreamSynchronize(other);
      cudaStreamSynchronize(r.stream);
      if (waits) RANK_CHECK(report().empty());
      reports += report().find("still sends to rank") != std::string::npos;
      ncclCommDestroy(r.comm);
    }
    _exit(reports);
  });
  CHECK(statuses[0] + statuses[1] > 0);  // under which order it shows is the seed's
}

TEST_CASE("nccl: a lost rank is an asynchronous error, and abort sets the stream free") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    const Rank r(rank, 2, id);
    if (rank == 1) raise(SIGKILL);
    float* const x = to_device(numbers(rank, 4));
    RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, r.comm, r.stream) == ncclSuccess);
    cudaEvent_t event = nullptr;
    RANK_CHECK(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
    RANK_CHECK(cudaEventRecord(event, r.stream) == cudaSuccess);
    ncclResult_t error = ncclSuccess;
    while (error == ncclSuccess) {
      RANK_CHECK(cudaEventQuery(event) == cudaErrorNotReady);
      RANK_CHECK(ncclCommGetAsyncError(r.comm, &error) == ncclSuccess);
      usleep(1000);
    }
    RANK_CHECK(error == ncclRemoteError);
    RANK_CHECK(std::string(ncclGetLastError(r.comm)) == "rank 1 is gone");
    RANK_CHECK(ncclCommAbort(r.comm) == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaSuccess);
    RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, r.comm, r.stream) ==
               ncclInvalidArgument);
  });
  CHECK(statuses == std::vector<int>{0, 128 + SIGKILL});
}

TEST_CASE("nccl: a host that waits for a lost rank without looking is told so") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    const Rank r(rank, 2, id);
    if (rank == 1) raise(SIGKILL);
    float* const x = to_device(numbers(rank, 4));
    RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, r.comm, r.stream) == ncclSuccess);
    RANK_CHECK(cudaStreamSynchronize(r.stream) == cudaErrorLaunchFailure);
    RANK_CHECK(report().find("on hardware it would wait for ever") != std::string::npos);
  });
  CHECK(statuses == std::vector<int>{0, 128 + SIGKILL});
}

TEST_CASE("nccl: without blocking a call is done when the host has looked, not before") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    reset({Order::forward, static_cast<std::uint64_t>(rank) + 5});
    cudaStream_t stream = nullptr;
    RANK_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess);
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t comm = nullptr;
    float* const x = to_device(numbers(rank, 4));
    const auto settle = [&](ncclResult_t result) {
      RANK_CHECK(result == ncclInProgress);
      while (result == ncclInProgress) {
        RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, comm, stream) ==
                   ncclInvalidArgument);  // one thing at a time
        RANK_CHECK(ncclCommGetAsyncError(comm, &result) == ncclSuccess);
      }
      RANK_CHECK(result == ncclSuccess);
    };
    settle(ncclCommInitRankConfig(&comm, 2, id, rank, &config));
    const ncclResult_t begun = ncclAllReduce(x, x, 4, ncclFloat32, ncclSum, comm, stream);
    RANK_CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    RANK_CHECK(to_host(x, 4)[3] == static_cast<float>(100 * rank + 3));  // not on the stream yet
    settle(begun);
    RANK_CHECK(cudaStreamSynchronize(stream) == cudaSuccess);
    RANK_CHECK(to_host(x, 4)[3] == 106);
    settle(ncclCommFinalize(comm));
    RANK_CHECK(ncclCommDestroy(comm) == ncclSuccess);
  });
  CHECK(statuses == std::vector<int>{0, 0});
}

TEST_CASE("nccl: without blocking a rank that never comes can be given up") {
  const auto statuses = run_ranks(2, [](int rank, ncclUniqueId id) {
    if (rank == 1) return;
    reset();
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    ncclComm_t comm = nullptr;
    ncclResult_t result = ncclCommInitRankConfig(&comm, 2, id, rank, &config);
    for (int i = 0; i < 50; ++i) {
      RANK_CHECK(result == ncclInProgress);
      usleep(1000);
      RANK_CHECK(ncclCommGetAsyncError(comm, &result) == ncclSuccess);
    }
    RANK_CHECK(ncclCommAbort(comm) == ncclSuccess);
    RANK_CHECK(ncclCommGetAsyncError(comm, &result) == ncclInvalidArgument);
  });
  CHECK(statuses == std::vector<int>{0, 0});
}

TEST_CASE("nccl: calls are held to their arguments") {
  const auto statuses = run_ranks(1, [](int, ncclUniqueId id) {
    const Rank r(0, 1, id);
    float* const x = to_device(numbers(0, 4));
    std::vector<float> host(4);
    const auto gather = [&](void const* from, std::size_t n, ncclDataType_t type) {
      return ncclAllGather(from, x, n, type, r.comm, r.stream);
    };
    RANK_CHECK(gather(x, 4, ncclFloat32) == ncclSuccess);
    RANK_CHECK(gather(host.data(), 4, ncclFloat32) == ncclInvalidArgument);
    RANK_CHECK(gather(x, 5, ncclFloat32) == ncclInvalidArgument);
    RANK_CHECK(gather(x, 4, ncclNumTypes) == ncclInvalidArgument);
    RANK_CHECK(ncclSend(x, 4, ncclFloat32, 1, r.comm, r.stream) == ncclInvalidArgument);
    RANK_CHECK(ncclGroupEnd() == ncclInvalidUsage);
    RANK_CHECK(ncclGroupStart() == ncclSuccess);
    RANK_CHECK(ncclSend(x, 4, ncclFloat32, 3, r.comm, r.stream) == ncclInvalidArgument);
    RANK_CHECK(ncclGroupEnd() == ncclInvalidArgument);  // the group fails as a whole
    RANK_CHECK(ncclAllReduce(x, x, 4, ncclFloat32, ncclProd, r.comm, r.stream) ==
               ncclInvalidArgument);
    ncclComm_t other = nullptr;
    RANK_CHECK(ncclCommInitRank(&other, 2, id, 2) == ncclInvalidArgument);
    RANK_CHECK(ncclCommDestroy(r.comm) == ncclSuccess);
    RANK_CHECK(gather(x, 4, ncclFloat32) == ncclInvalidArgument);
  });
  CHECK(statuses == std::vector<int>{0});
}
#endif

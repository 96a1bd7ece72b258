// Streams, events and copies: a right program is right under every seed, a wrong one is not.
#include <cmath>

#include "kernel_test.h"

using namespace cuda_host;
using namespace cuda_host::test;

namespace {

constexpr int kSeeds = 40;

__global__ void __launch_bounds__(32) add_one(float* to, float const* from) {
  const int i = threadIdx.x;
  to[i] = from[i] + 1.0f;
}

struct Queues {
  Queues() {
    REQUIRE(cudaStreamCreateWithFlags(&a, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaStreamCreateWithFlags(&b, cudaStreamNonBlocking) == cudaSuccess);
    REQUIRE(cudaEventCreateWithFlags(&event, cudaEventDisableTiming) == cudaSuccess);
  }
  cudaStream_t a = nullptr, b = nullptr;
  cudaEvent_t event = nullptr;
};

Shape on(cudaStream_t stream) {
  Shape shape;
  shape.stream = stream;
  return shape;
}

template <class Program>
int wrong_seeds(Program program) {
  int wrong = 0;
  for (int seed = 0; seed < kSeeds; ++seed) {
    reset({Order::forward, static_cast<std::uint64_t>(seed)});
    wrong += !program();
  }
  return wrong;
}

/// Pinned memory of 32 numbers.
struct Pinned {
  Pinned() { REQUIRE(cudaMallocHost(&numbers, 32 * sizeof(float)) == cudaSuccess); }
  Pinned(Pinned const&) = delete;  // frees it once
  Pinned& operator=(Pinned const&) = delete;
  ~Pinned() {  // after what still copies from it or to it
    cudaDeviceSynchronize();
    cudaFreeHost(numbers);
  }
  float* numbers = nullptr;
};

/// A moment of a stream.
struct Moment {
  explicit Moment(cudaStream_t stream, unsigned int flags = cudaEventDefault) {
    REQUIRE(cudaEventCreateWithFlags(&event, flags) == cudaSuccess);
    REQUIRE(cudaEventRecord(event, stream) == cudaSuccess);
  }
  cudaEvent_t event = nullptr;
};

double milliseconds(Moment const& from, Moment const& to) {
  float elapsed = 0;
  REQUIRE(cudaEventElapsedTime(&elapsed, from.event, to.event) == cudaSuccess);
  return elapsed;
}

bool all(std::vector<float> const& x, float value) {
  for (float v : x) {
    if (!(v == value)) return false;
  }
  return true;
}

/// x + 1 on one stream, + 1 on another.
bool chain(bool waits) {
  const Queues q;
  float* const x = to_device(std::vector<float>(32, 1.0f));
  float* const y = on_device<float>(32);
  float* const z = on_device<float>(32);
  launch(on(q.a), add_one, y, x);
  REQUIRE(cudaEventRecord(q.event, q.a) == cudaSuccess);
  if (waits) REQUIRE(cudaStreamWaitEvent(q.b, q.event, 0) == cudaSuccess);
  launch(on(q.b), add_one, z, y);
  REQUIRE(cudaStreamSynchronize(q.b) == cudaSuccess);
  return all(to_host(z, 32), 3.0f);
}

/// Two uploads through one pinned buffer.
bool upload_twice(bool waits) {
  const Queues q;
  const Pinned memory;
  float* const pinned = memory.numbers;
  float* const x = on_device<float>(32);
  float* const y = on_device<float>(32);
  const std::size_t bytes = 32 * sizeof(float);
  std::fill(pinned, pinned + 32, 5.0f);
  REQUIRE(cudaMemcpyAsync(x, pinned, bytes, cudaMemcpyHostToDevice, q.a) == cudaSuccess);
  REQUIRE(cudaEventRecord(q.event, q.a) == cudaSuccess);
  if (waits) REQUIRE(cudaEventSynchronize(q.event) == cudaSuccess);
  std::fill(pinned, pinned + 32, 7.0f);
  REQUIRE(cudaMemcpyAsync(y, pinned, bytes, cudaMemcpyHostToDevice, q.a) == cudaSuccess);
  REQUIRE(cudaStreamSynchronize(q.a) == cudaSuccess);
  return all(to_host(x, 32), 5.0f) && all(to_host(y, 32), 7.0f);
}

/// Reads a pinned buffer that a copy from the device goes to.
bool download(bool waits) {
  const Queues q;
  const Pinned memory;
  float* const pinned = memory.numbers;
  float* const x = to_device(std::vector<float>(32, 1.0f));
  float* const y = on_device<float>(32);
  launch(on(q.a), add_one, y, x);
  REQUIRE(cudaMemcpyAsync(pinned, y, 32 * sizeof(float), cudaMemcpyDeviceToHost, q.a) ==
          cudaSuccess);
  if (waits) REQUIRE(cudaStreamSynchronize(q.a) == cudaSuccess);
  return all(std::vector<float>(pinned, pinned + 32), 2.0f);
}

}  // namespace

TEST_CASE("a stream that waits for another's event is right under every seed") {
  CHECK(wrong_seeds([] { return chain(true); }) == 0);
  CHECK(wrong_seeds([] { return chain(false); }) > 0);
}

TEST_CASE("a pinned buffer that is used again too early is seen") {
  CHECK(wrong_seeds([] { return upload_twice(true); }) == 0);
  CHECK(wrong_seeds([] { return upload_twice(false); }) > 0);
}

TEST_CASE("a pinned buffer that is read too early is seen") {
  CHECK(wrong_seeds([] { return download(true); }) == 0);
  CHECK(wrong_seeds([] { return download(false); }) > 0);
}

TEST_CASE("pageable memory is read before the call returns, and written before it returns") {
  reset();
  const Queues q;
  std::vector<float> host(32, 4.0f);
  float* const x = on_device<float>(32);
  REQUIRE(cudaMemcpyAsync(x, host.data(), 128, cudaMemcpyHostToDevice, q.a) == cudaSuccess);
  std::fill(host.begin(), host.end(), 0.0f);
  REQUIRE(cudaMemcpyAsync(host.data(), x, 128, cudaMemcpyDeviceToHost, q.a) == cudaSuccess);
  CHECK(all(host, 4.0f));
}

TEST_CASE("blocking streams keep order with the default stream") {
  CHECK(wrong_seeds([] {
          cudaStream_t stream = nullptr;
          REQUIRE(cudaStreamCreate(&stream) == cudaSuccess);
          float* const x = to_device(std::vector<float>(32, 1.0f));
          float* const y = on_device<float>(32);
          launch(on(stream), add_one, y, x);
          launch(on(nullptr), add_one, x, y);
          launch(on(stream), add_one, y, x);
          REQUIRE(cudaStreamSynchronize(stream) == cudaSuccess);
          return all(to_host(y, 32), 4.0f);
        }) == 0);
}

TEST_CASE("an event waits for what was before its latest record") {
  reset({Order::forward, 3});
  const Queues q;
  float* const x = to_device(std::vector<float>(32, 1.0f));
  CHECK(cudaStreamWaitEvent(q.b, q.event, 0) == cudaSuccess);  // never recorded: no wait
  CHECK(cudaStreamSynchronize(q.b) == cudaSuccess);
  for (int i = 0; i < 20; ++i) launch(on(q.a), add_one, x, x);
  REQUIRE(cudaEventRecord(q.event, q.a) == cudaSuccess);
  CHECK(cudaEventQuery(q.event) == cudaErrorNotReady);
  REQUIRE(cudaEventSynchronize(q.event) == cudaSuccess);
  CHECK(cudaEventQuery(q.event) == cudaSuccess);
  CHECK(all(to_host(x, 32), 21.0f));
}

TEST_CASE("copies and fills are held to allocations and to their kind") {
  reset();
  float* const x = on_device<float>(32);
  std::vector<float> host(64);
  CHECK(cudaMemcpy(x, host.data(), 256, cudaMemcpyHostToDevice) == cudaErrorInvalidValue);
  CHECK(cudaMemcpy(x, host.data(), 128, cudaMemcpyDeviceToHost) == cudaErrorInvalidValue);
  CHECK(cudaMemset(x + 1, 0, 128) == cudaErrorInvalidValue);
  REQUIRE(cudaMemset(x, 0, 64) == cudaSuccess);
  const std::vector<float> got = to_host(x, 32);
  CHECK(all({got.begin(), got.begin() + 16}, 0.0f));
  CHECK(std::isnan(got[16]));  // never written
  REQUIRE(cudaFree(x) == cudaSuccess);
  CHECK(cudaFree(x) == cudaErrorInvalidValue);
  CHECK(cudaMemset(x, 0, 64) == cudaErrorInvalidValue);
}

TEST_CASE("the log tells what ran, in order and by stream") {
  reset();
  std::vector<Ran> log;
  const Queues q;
  float* const x = on_device<float>(32);
  log_to(&log);
  REQUIRE(cudaMemsetAsync(x, 0, 128, q.a) == cudaSuccess);
  REQUIRE(cudaEventRecord(q.event, q.a) == cudaSuccess);
  REQUIRE(cudaStreamWaitEvent(q.b, q.event, 0) == cudaSuccess);
  launch(on(q.b), add_one, x, x);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  log_to(nullptr);
  launch(on(q.b), add_one, x, x);
  REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
  CHECK(log == std::vector<Ran>{{Ran::What::copy, 1}, {Ran::What::kernel, 2}});
}

TEST_CASE("by the clock of events streams run at once, whatever order their work runs in") {
  for (int seed = 0; seed < kSeeds; ++seed) {
    reset({Order::forward, static_cast<std::uint64_t>(seed)});
    const Queues q;
    float* const x = to_device(std::vector<float>(32, 1.0f));
    float* const y = on_device<float>(32);
    launch(on(q.a), add_one, y, x);
    const Moment one(q.a);
    launch(on(q.a), add_one, y, x);
    const Moment two(q.a);
    for (int i = 0; i < 6; ++i) launch(on(q.a), add_one, y, x);
    REQUIRE(cudaEventRecord(q.event, q.a) == cudaSuccess);
    const Moment eight(q.a);
    const Moment on_side_stream(q.b);
    launch(on(q.b), add_one, y, x);
    const Moment side_stream_done(q.b);
    REQUIRE(cudaStreamWaitEvent(q.b, q.event, 0) == cudaSuccess);
    const Moment waited(q.b);
    launch(on(q.b), add_one, y, x);
    const Moment after(q.b);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);

    const double kernel = milliseconds(one, two);
    const auto about = [&](double ms) { return Approx(ms).margin(0.01 * kernel); };
    CHECK(kernel > 0);
    CHECK(milliseconds(one, eight) == about(7 * kernel));
    // An idle stream waits for the host, whose calls are much shorter.
    CHECK(milliseconds(on_side_stream, side_stream_done) >= kernel);
    CHECK(milliseconds(on_side_stream, side_stream_done) < 1.5 * kernel);
    CHECK(milliseconds(side_stream_done, eight) > 0);
    CHECK(milliseconds(eight, waited) == about(0));
    CHECK(milliseconds(waited, after) == about(kernel));

    // What the host issues when it has waited begins no sooner.
    const Moment later(q.a);
    REQUIRE(cudaDeviceSynchronize() == cudaSuccess);
    CHECK(milliseconds(after, later) > 0);
    float elapsed = 0;
    const Moment untimed(q.a, cudaEventDisableTiming);
    CHECK(cudaEventElapsedTime(&elapsed, one.event, untimed.event) ==
          cudaErrorInvalidResourceHandle);
  }
}

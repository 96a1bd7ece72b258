#include "streams.h"

#include <chrono>
#include <thread>

#include "device_state.h"
#include "memory.h"

namespace cuda_host {

Streams& streams() {
  static Streams the_streams;
  return the_streams;
}

void Streams::reset(std::uint64_t seed, bool lazy) {
  streams_.clear();
  events_.clear();
  preferred_ = nullptr;
  host_ = 0;
  follow(seed, lazy);
}

void Streams::follow(std::uint64_t seed, bool lazy) {
  random_.seed(seed);
  lazy_ = lazy;
}

Stream* Streams::find(cudaStream_t handle) {
  if (streams_.empty()) streams_.push_back(std::make_unique<Stream>());
  if (handle == nullptr || handle == cudaStreamLegacy) return streams_[0].get();
  for (auto const& s : streams_) {
    if (reinterpret_cast<cudaStream_t>(s.get()) == handle) return s->destroyed ? nullptr : s.get();
  }
  return nullptr;
}

Event* Streams::find(cudaEvent_t handle) {
  for (auto const& e : events_) {
    if (reinterpret_cast<cudaEvent_t>(e.get()) == handle) return e->destroyed ? nullptr : e.get();
  }
  return nullptr;
}

cudaStream_t Streams::create_stream(bool blocking) {
  find(cudaStream_t{nullptr});  // the default stream comes first
  streams_.push_back(std::make_unique<Stream>());
  streams_.back()->blocking = blocking;
  return reinterpret_cast<cudaStream_t>(streams_.back().get());
}

cudaEvent_t Streams::create_event(bool timed) {
  events_.push_back(std::make_unique<Event>());
  events_.back()->timed = timed;
  return reinterpret_cast<cudaEvent_t>(events_.back().get());
}

void Streams::enqueue(Stream& stream, Work work) {
  work.fence = ++fences_;
  work.issued = host_ += kCallSeconds;
  stream.work.push_back(std::move(work));
  if (!lazy_) return finish_all();
  if (random_() % 8 == 0) pass_time();
}

void Streams::pass_time() {
  const DeviceMemoryOpen open;
  run_one();
}

/// The default stream and the blocking ones keep the order of enqueueing between them.
bool Streams::can_run(Stream const& stream) const {
  if (stream.work.empty()) return false;
  Work const& next = stream.work.front();
  if (next.waits_for != nullptr && next.waits_for->completed < next.version) return false;
  if (next.ready && next.ready() != Work::Readiness::now) return false;
  const auto has_before = [&](Stream const& other) {
    return !other.work.empty() && other.work.front().fence < next.fence;
  };
  if (&stream != streams_[0].get()) return !stream.blocking || !has_before(*streams_[0]);
  for (auto const& other : streams_) {
    if (other->blocking && other.get() != &stream && has_before(*other)) return false;
  }
  return true;
}

double Streams::start_of(Stream const& stream, Work const& work) const {
  double start = std::max(stream.seconds, work.issued);
  if (work.waits_for != nullptr && work.version > 0) {
    start = std::max(start, work.waits_for->seconds[work.version - 1]);
  }
  if (!stream.blocking) return start;
  const bool is_default = &stream == streams_[0].get();
  for (auto const& other : streams_) {
    if (other->blocking && (is_default || other == streams_[0])) {
      start = std::max(start, other->seconds);
    }
  }
  return start;
}

bool Streams::run_one() {
  std::vector<Stream*> able;
  for (auto const& s : streams_) {
    if (can_run(*s)) able.push_back(s.get());
  }
  if (able.empty()) return false;
  // One stream runs far ahead of the others, until another is preferred.
  bool keeps = false;
  for (Stream const* s : able) keeps = keeps || s == preferred_;
  if (!keeps || random_() % 8 == 0) preferred_ = able[random_() % able.size()];
  const Work work = std::move(preferred_->work.front());
  preferred_->work.pop_front();
  preferred_->seconds = start_of(*preferred_, work) + work.lasts;
  running_ = true;
  const std::string failure = work.run ? work.run() : std::string();
  running_ = false;
  if (log_ != nullptr && work.what) log_->push_back({*work.what, number_of(*preferred_)});
  if (!failure.empty()) {
    for (auto const& s : streams_) s->work.clear();
    note_sticky(cudaErrorLaunchFailure, failure);
  }
  return true;
}

int Streams::number_of(Stream const& stream) const {
  int number = 0;
  while (streams_[static_cast<std::size_t>(number)].get() != &stream) ++number;
  return number;
}

/// Gives other processes time, if work here waits for them and may go on one day.
bool Streams::wait_for_others() {
  for (auto const& s : streams_) {
    if (s->work.empty() || !s->work.front().ready) continue;
    if (s->work.front().ready() == Work::Readiness::never) continue;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
    return true;
  }
  return false;
}

/// False if it can never be done.
template <class Done>
bool Streams::run_until(Done done) {
  const DeviceMemoryOpen open;
  while (!done()) {
    if (!run_one() && !wait_for_others()) return false;
  }
  return true;
}

template <class Done>
void Streams::finish_when(Done done) {
  if (run_until(done)) return;
  for (auto const& s : streams_) {
    if (s->work.empty() || !s->work.front().ready) continue;
    note_sticky(cudaErrorLaunchFailure,
                "the host waits for a stream that waits for a rank that is gone: on hardware it "
                "would wait for ever; look at ncclCommGetAsyncError and call ncclCommAbort");
    return;
  }
}

void Streams::finish(Stream const& stream) {
  finish_when([&] { return stream.work.empty(); });
  host_saw(stream.seconds);
}

void Streams::finish(Event const& event, std::uint64_t version) {
  finish_when([&] { return event.completed >= version; });
  if (version > 0 && event.completed >= version) host_saw(event.seconds[version - 1]);
}

void Streams::finish_all() {
  finish_when([&] {
    for (auto const& s : streams_) {
      if (!s->work.empty()) return false;
    }
    return true;
  });
  for (auto const& s : streams_) host_saw(s->seconds);
}

void Streams::reach(Stream const& stream, std::uint64_t fence) {
  run_until([&] { return stream.work.empty() || stream.work.front().fence > fence; });
}

void log_to(std::vector<Ran>* log) {
  streams().log_to(log);
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  if (sticky() != cudaSuccess) return sticky();
  *stream = streams().create_stream((flags & cudaStreamNonBlocking) == 0);
  return cudaSuccess;
}

cudaError_t cudaStreamCreate(cudaStream_t* stream) {
  return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned int flags, int) {
  return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t handle) {
  Stream* const stream = streams().find(handle);
  if (stream == nullptr || handle == nullptr) return note(cudaErrorInvalidResourceHandle);
  stream->destroyed = true;  // what it holds still runs
  return sticky();
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  streams().finish(*stream);
  return sticky();
}

cudaError_t cudaStreamQuery(cudaStream_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  if (stream == nullptr) return note(cudaErrorInvalidResourceHandle);
  streams().pass_time();
  if (sticky() != cudaSuccess) return sticky();
  if (!stream->work.empty()) return cudaErrorNotReady;
  streams().host_saw(stream->seconds);
  return cudaSuccess;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event_handle, unsigned int) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  Event* const event = streams().find(event_handle);
  if (stream == nullptr || event == nullptr) return note(cudaErrorInvalidResourceHandle);
  Work work;
  work.waits_for = event;
  work.version = event->recorded;  // an event that was never recorded holds nothing up
  work.lasts = 0;
  streams().enqueue(*stream, std::move(work));
  return sticky();
}

cudaError_t cudaDeviceSynchronize() {
  streams().finish_all();
  return sticky();
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned int flags) {
  if (sticky() != cudaSuccess) return sticky();
  *event = streams().create_event((flags & cudaEventDisableTiming) == 0);
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t handle) {
  Event* const event = streams().find(handle);
  if (event == nullptr) return note(cudaErrorInvalidResourceHandle);
  event->destroyed = true;
  return sticky();
}

cudaError_t cudaEventRecord(cudaEvent_t event_handle, cudaStream_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Stream* const stream = streams().find(handle);
  Event* const event = streams().find(event_handle);
  if (stream == nullptr || event == nullptr) return note(cudaErrorInvalidResourceHandle);
  Work work;
  work.lasts = 0;
  work.run = [event, stream, version = ++event->recorded] {
    event->completed = std::max(event->completed, version);
    event->seconds.resize(std::max(event->seconds.size(), version));
    event->seconds[version - 1] = stream->seconds;
    return std::string();
  };
  streams().enqueue(*stream, std::move(work));
  return sticky();
}

cudaError_t cudaEventSynchronize(cudaEvent_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Event* const event = streams().find(handle);
  if (event == nullptr) return note(cudaErrorInvalidResourceHandle);
  streams().finish(*event, event->recorded);
  return sticky();
}

cudaError_t cudaEventQuery(cudaEvent_t handle) {
  if (sticky() != cudaSuccess) return sticky();
  Event* const event = streams().find(handle);
  if (event == nullptr) return note(cudaErrorInvalidResourceHandle);
  streams().pass_time();
  if (sticky() != cudaSuccess) return sticky();
  if (event->completed < event->recorded) return cudaErrorNotReady;
  if (event->recorded > 0) streams().host_saw(event->seconds.back());
  return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (sticky() != cudaSuccess) return sticky();
  Event* const a = streams().find(start);
  Event* const b = streams().find(end);
  const auto timed = [](Event const* e) { return e != nullptr && e->recorded > 0 && e->timed; };
  if (!timed(a) || !timed(b)) return note(cudaErrorInvalidResourceHandle);
  if (a->completed < a->recorded || b->completed < b->recorded) return cudaErrorNotReady;
  *milliseconds = static_cast<float>((b->seconds.back() - a->seconds.back()) * 1e3);
  return cudaSuccess;
}

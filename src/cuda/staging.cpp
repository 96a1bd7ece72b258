#include "staging.h"

#include <algorithm>
#include <cstring>

namespace lomo::cuda {

Staging::Staging() : memory_(make_pinned_memory(2 * kHalf)), read_{make_event(), make_event()} {}

Staging::~Staging() {
  for (Event const& event : read_) static_cast<void>(cudaEventSynchronize(event));
}

std::byte* Staging::next_half(Watcher const& watcher) {
  half_ = 1 - half_;
  if (watcher) {
    wait_while_watching(
        watcher, [&] { return cudaEventQuery(read_[half_]); }, "an upload");
  } else {
    check(cudaEventSynchronize(read_[half_]), "cudaEventSynchronize, of an upload");
  }
  return static_cast<std::byte*>(static_cast<void*>(memory_)) + half_ * kHalf;
}

void Staging::half_is_read(cudaStream_t queue) {
  check(cudaEventRecord(read_[half_], queue), "cudaEventRecord, of an upload");
}

void Staging::upload(void* device, std::size_t pitch, void const* host, std::size_t width,
                     std::size_t height, cudaStream_t queue, Watcher const& watcher) {
  auto* to = static_cast<std::byte*>(device);
  auto const* from = static_cast<std::byte const*>(host);
  if (width > kHalf) {  // a row at a time, in pieces
    for (std::size_t row = 0; row < height; ++row) {
      for (std::size_t at = 0; at < width; at += kHalf) {
        const std::size_t bytes = std::min(kHalf, width - at);
        std::byte* const half = next_half(watcher);
        std::memcpy(half, from + row * width + at, bytes);
        check(cudaMemcpyAsync(to + row * pitch + at, half, bytes, cudaMemcpyHostToDevice, queue),
              "cudaMemcpyAsync, of an upload");
        half_is_read(queue);
      }
    }
    return;
  }
  const std::size_t maximum = kHalf / width;
  for (std::size_t row = 0; row < height; row += maximum) {
    const std::size_t rows = std::min(maximum, height - row);
    std::byte* const half = next_half(watcher);
    std::memcpy(half, from + row * width, rows * width);
    check(cudaMemcpy2DAsync(to + row * pitch, pitch, half, width, width, rows,
                            cudaMemcpyHostToDevice, queue),
          "cudaMemcpy2DAsync, of an upload");
    half_is_read(queue);
  }
}

}  // namespace lomo::cuda

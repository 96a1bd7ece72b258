#pragma once
#include <array>
#include <cstddef>

#include "handles.h"
#include "waiting.h"

namespace lomo::cuda {

/// Pinned memory that uploads pass through: the host fills one half while the device reads the
/// other, and never waits for what else is on the stream.
class Staging {
 public:
  Staging();
  ~Staging();
  Staging(Staging const&) = delete;  // the device reads from it
  Staging& operator=(Staging const&) = delete;

  /// `height` rows of `width` bytes, dense on the host, `pitch` bytes apart on the device. `host`
  /// may be reused on return. `watcher`, if any, is called while the device reads what came before.
  void upload(void* device, std::size_t pitch, void const* host, std::size_t width,
              std::size_t height, cudaStream_t queue, Watcher const& watcher);

 private:
  static constexpr std::size_t kHalf = std::size_t{1} << 20;

  /// A half that the device has read.
  std::byte* next_half(Watcher const& watcher);
  void half_is_read(cudaStream_t queue);

  PinnedMemory memory_;
  std::array<Event, 2> read_;
  std::size_t half_ = 0;
};

}  // namespace lomo::cuda

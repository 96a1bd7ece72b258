#pragma once
#include <cuda_runtime_api.h>

#include <cstdint>

/// Hand-written CUDA kernels. They know the CUDA runtime and nothing of the trainer: launchers take
/// device addresses, extents and a stream, trust their arguments, enqueue and return at once. What
/// they return is the error of the launch. Nothing uses float atomics: the same call gives the same
/// bits on any device of any size.
namespace lomo::kernels {

/// Storage type of a run. Arithmetic is f32 or better.
enum class Storage : std::uint8_t { f32, bf16, f16 };

/// `tuned` takes the quickest kernel that the addresses, pitches and extents allow; `simple` one
/// element at a time, which tests compare with.
enum class Variant : std::uint8_t { tuned, simple };

/// Rows of a matrix `pitch` elements apart.
struct Out {
  void* data = nullptr;
  std::int64_t pitch = 0;
};
struct In {
  In() = default;
  In(void const* address, std::int64_t distance) : data(address), pitch(distance) {}
  In(Out const& m) : data(m.data), pitch(m.pitch) {}  // what is written may be read
  void const* data = nullptr;
  std::int64_t pitch = 0;
};

}  // namespace lomo::kernels

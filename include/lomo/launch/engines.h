#pragma once
#include <cstddef>
#include <memory>

#include "lomo/backend/backend.h"
#include "lomo/backend/plugin.h"
#include "lomo/backend/process_group.h"
#include "lomo/launch/process.h"

namespace lomo::launch {

/// The engine that --device and --threads ask for. `auto` is the GPU where there is one that can be
/// computed on, else the CPU, and says why. Throws Error(Exit::usage), one sentence, where `cuda`
/// is asked for and cannot be had.
class Engines {
 public:
  explicit Engines(Process const& process);

  Device device() const { return plugin_ != nullptr ? Device::cuda : Device::cpu; }
  /// With at most so many bytes of memory; 0: what is free.
  std::unique_ptr<Backend> make(std::size_t memory) const;
  /// What ranks exchange tensors of such an engine by; null alone.
  std::unique_ptr<Communicator> connect(Backend& engine, ProcessGroup& ranks) const;
  /// Bytes that `make` could get: of the GPU, or this process's share of the machine.
  std::size_t available_memory() const;

 private:
  int threads_;
  int local_rank_, local_size_;         // of the processes of this machine
  CudaPlugin const* plugin_ = nullptr;  // of the GPU's engine
};

}  // namespace lomo::launch

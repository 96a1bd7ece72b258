#pragma once
#include <cuda_runtime_api.h>

#include <chrono>
#include <functional>
#include <thread>

#include "lomo/core/waiting.h"
#include "status.h"

namespace lomo::cuda {

/// Called again and again while the host waits for the device, with how long it has; may throw. For
/// who knows that the device may wait for another rank in vain.
using Watcher = std::function<void(std::chrono::nanoseconds)>;

/// Until `query` says something else than cudaErrorNotReady.
template <class Query>
void wait_while_watching(Watcher const& watcher, Query&& query, char const* what) {
  WaitingTime waiting;
  for (;;) {
    const cudaError_t status = query();
    if (status != cudaErrorNotReady) return check(status, what);
    watcher(waiting.look());
    std::this_thread::sleep_for(std::chrono::microseconds(20));
  }
}

}  // namespace lomo::cuda

#include "lomo/backend/plugin.h"

#include "communicator.h"
#include "device.h"
#include "engine.h"
#include "status.h"

namespace {

std::unique_ptr<lomo::Backend> make(lomo::EngineOptions const& options) {
  return std::make_unique<lomo::cuda::CudaBackend>(options);
}

std::size_t available_memory(int local_rank) {
  lomo::cuda::check(cudaSetDevice(lomo::cuda::device_of(local_rank)), "cudaSetDevice");
  return lomo::cuda::available_memory();
}

std::unique_ptr<lomo::Communicator> connect(lomo::Backend& engine, lomo::Communicator& host,
                                            std::chrono::seconds timeout) {
  return lomo::cuda::make_communicator(dynamic_cast<lomo::cuda::CudaBackend&>(engine), host,
                                       timeout);
}

constexpr lomo::CudaPlugin kPlugin{LOMO_BUILD_ID, &lomo::cuda::unavailable_reason,
                                   &available_memory, &make, &connect};

}  // namespace

extern "C" lomo::CudaPlugin const* lomo_cuda_plugin() {
  return &kPlugin;
}

#include "engine.h"

#include "device.h"
#include "gemm.h"
#include "kernels/cross_entropy.h"
#include "lomo/core/error.h"

namespace lomo::cuda {
namespace {

/// Computes on `options.local_rank`'s GPU from here on.
int use_device(EngineOptions const& options) {
  const int device = device_of(options.local_rank);
  check(cudaSetDevice(device), "cudaSetDevice");
  return device;
}

/// Bytes of the slab: as many as asked for, or as there are.
std::size_t slab_bytes(EngineOptions const& options) {
  const std::size_t wanted = options.memory > 0 ? options.memory : available_memory();
  return wanted / Slab::kAlignment * Slab::kAlignment;
}

DeviceMemory make_slab_memory(std::size_t bytes) {
  void* address = nullptr;
  const cudaError_t status = cudaMalloc(&address, bytes);
  if (status == cudaErrorMemoryAllocation) {
    static_cast<void>(cudaGetLastError());
    throw Error(Exit::memory, "the GPU cannot give " + std::to_string(bytes >> 20) +
                                  " MiB in one piece; it has " +
                                  std::to_string(available_memory() >> 20) +
                                  " MiB for the engine. Is something else running on it?");
  }
  check(status, "cudaMalloc");
  return DeviceMemory(address);
}

/// The first kernel of a process tells whether this build has any for the GPU.
void require_kernels(void* memory, std::string const& gpu, cudaStream_t queue) {
  const cudaError_t status = kernels::cross_entropy_begin(static_cast<float*>(memory), 1, queue);
  if (status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidPtx ||
      status == cudaErrorUnsupportedPtxVersion || status == cudaErrorJitCompilerNotFound) {
    throw Error(Exit::usage, gpu + ": the CUDA engine was built for " LOMO_CUDA_ARCHITECTURES
                                   " only; build it with -DLOMO_CUDA_ARCHITECTURES=native");
  }
  check(status, "the first kernel");
}

}  // namespace

CudaBackend::CudaBackend(EngineOptions const& options)
    : Backend(Device::cuda), name_(cuda::describe(use_device(options))) {
  const std::size_t bytes = slab_bytes(options);
  memory_ = make_slab_memory(bytes);
  compute_ = make_queue();
  second_ = make_queue();
  queue_ = compute_;
  issued_ = make_event();
  for (Event& event : done_) event = make_event();
  gemm_ = std::make_unique<Gemm>();
  adopt_slab(std::make_unique<Slab>(memory_, bytes, Device::cuda, ledger()));
  if (bytes > 0) require_kernels(memory_, name_, queue_);
}

CudaBackend::~CudaBackend() {
  static_cast<void>(cudaDeviceSynchronize());  // nothing reads what is about to be given back
}

std::string CudaBackend::describe() const {
  return "CUDA on " + name_ + ", " + Gemm::library();
}

void CudaBackend::do_synchronize() {
  wait_for(compute_);
  wait_for(second_);
  if (exchanges_ != nullptr) wait_for(exchanges_);  // cudaDeviceSynchronize cannot be watched
}

void CudaBackend::do_enter_side_stream(Fence) {
  check(cudaEventRecord(issued_, compute_), "cudaEventRecord, of the compute stream");
  check(cudaStreamWaitEvent(second_, issued_, 0), "cudaStreamWaitEvent, of the side stream");
  queue_ = second_;
}

void CudaBackend::do_leave_side_stream(Fence fence) {
  queue_ = compute_;
  check(cudaEventRecord(event_of(fence), second_), "cudaEventRecord, of the side stream");
}

void CudaBackend::do_wait(Fence fence) {
  check(cudaStreamWaitEvent(compute_, event_of(fence), 0), "cudaStreamWaitEvent");
}

void CudaBackend::wait_for(cudaStream_t queue) {
  if (!watcher_) return check(cudaStreamSynchronize(queue), "cudaStreamSynchronize");
  wait_while_watching(
      watcher_, [&] { return cudaStreamQuery(queue); }, "cudaStreamQuery");
}

}  // namespace lomo::cuda

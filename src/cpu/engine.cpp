#include "engine.h"

#include <sys/mman.h>

#include <cerrno>
#include <cstring>

#include "gemm.h"
#include "lomo/backend/host.h"
#include "lomo/core/error.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace lomo::cpu {
namespace {

/// Denormals cost a hundred cycles on some machines and mean nothing here: flushed on every thread
/// that computes, so that no result depends on which one did.
void flush_denormals([[maybe_unused]] int threads) {
#if defined(__SSE2__)
#pragma omp parallel num_threads(threads)
  _mm_setcsr(_mm_getcsr() | 0x8040u);  // FTZ and DAZ
#endif
}

}  // namespace

struct CpuBackend::Mapping {
  explicit Mapping(std::size_t wanted) : bytes(wanted) {
    base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                -1, 0);
    if (base == MAP_FAILED) {
      throw Error(Exit::memory, "cannot reserve " + std::to_string(bytes >> 20) +
                                    " MiB of address space: " + std::strerror(errno) +
                                    "; give a smaller limit (--memory)");
    }
    madvise(base, bytes, MADV_HUGEPAGE);  // fewer page faults; no harm where it is refused
  }
  ~Mapping() { munmap(base, bytes); }
  Mapping(Mapping const&) = delete;
  Mapping& operator=(Mapping const&) = delete;

  void* base = nullptr;
  std::size_t bytes = 0;
};

CpuBackend::CpuBackend(EngineOptions const& options)
    : CpuBackend(options, best_bf16_products(),
                 Gemm::extents_do_not_matter() ? WeightTiles::as_asked : WeightTiles::panels) {}

CpuBackend::CpuBackend(EngineOptions const& options, Bf16Products bf16, WeightTiles tiles)
    : Backend(Device::cpu),
      tiles_(tiles),
      threads_(options.threads > 0 ? options.threads : host::allowed_threads()),
      workspaces_(threads_) {
  const std::size_t wanted = options.memory > 0 ? options.memory : host::available_memory();
  const std::size_t page = 4096;
  mapping_ = std::make_unique<Mapping>((wanted + page - 1) / page * page);
  adopt_slab(std::make_unique<Slab>(mapping_->base, wanted, Device::cpu, ledger()));
  gemm_ = std::make_unique<Gemm>(threads_, bf16);
  flush_denormals(threads_);
}

CpuBackend::~CpuBackend() = default;

std::string CpuBackend::describe() const {
  return "CPU, " + std::to_string(threads_) + (threads_ == 1 ? " thread, " : " threads, ") +
         Gemm::library();
}

}  // namespace lomo::cpu

std::unique_ptr<lomo::Backend> lomo::make_cpu_backend(EngineOptions const& options) {
  return std::make_unique<cpu::CpuBackend>(options);
}

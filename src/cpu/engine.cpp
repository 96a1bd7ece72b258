#include "engine.h"

#include <sched.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <limits>

#include "gemm.h"
#include "lomo/core/error.h"
#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace lomo::cpu {
namespace {

/// The affinity mask, not the number of CPUs: launchers bind ranks to some of them.
int allowed_threads() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return 1;
  return std::max(1, CPU_COUNT(&set));
}

/// Bytes from a file that holds one number; the largest number when it holds none ("max").
std::size_t number_in(char const* path) {
  std::ifstream file(path);
  std::size_t bytes = 0;
  return file >> bytes ? bytes : std::numeric_limits<std::size_t>::max();
}

/// What the machine has free now, or what the container still may take when that is less.
std::size_t available_memory() {
  std::size_t available = std::numeric_limits<std::size_t>::max();
  std::ifstream file("/proc/meminfo");
  for (std::string key, rest; file >> key; std::getline(file, rest)) {
    if (key != "MemAvailable:") continue;
    std::size_t kib = 0;
    if (file >> kib) available = kib * 1024;
    break;
  }
  const std::size_t limit = number_in("/sys/fs/cgroup/memory.max");
  const std::size_t used = number_in("/sys/fs/cgroup/memory.current");
  if (limit != std::numeric_limits<std::size_t>::max() && used <= limit) {
    available = std::min(available, limit - used);
  }
  if (available == std::numeric_limits<std::size_t>::max()) {
    throw Error(Exit::memory, "cannot tell how much memory is free; give the limit (--memory)");
  }
  return available;
}

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
      threads_(options.threads > 0 ? options.threads : allowed_threads()) {
  const std::size_t wanted = options.memory > 0 ? options.memory : available_memory();
  const std::size_t page = 4096;
  mapping_ = std::make_unique<Mapping>((wanted + page - 1) / page * page);
  adopt_slab(std::make_unique<Slab>(mapping_->base, wanted, Device::cpu, ledger()));
  gemm_ = std::make_unique<Gemm>(*this, threads_, bf16);
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

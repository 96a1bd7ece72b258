// What the compiler calls before each access of a function compiled with -fsanitize=thread, here
// instead of in the thread sanitizer's runtime. Linked to programs whose kernels are watched, and
// to them alone.
#include <cstddef>

#include "watcher.h"

namespace {

void report(void const* p, std::size_t bytes, bool store, void const* at) {
  cuda_host::watcher().access({p, bytes, store, at});
}

}  // namespace

#define CUDA_HOST_REPORT(name, bytes, store)              \
  extern "C" void __tsan_##name(void* p) {                \
    report(p, bytes, store, __builtin_return_address(0)); \
  }
#define CUDA_HOST_REPORTS(bytes)              \
  CUDA_HOST_REPORT(read##bytes, bytes, false) \
  CUDA_HOST_REPORT(write##bytes, bytes, true)
#define CUDA_HOST_UNALIGNED(bytes)                      \
  CUDA_HOST_REPORT(unaligned_read##bytes, bytes, false) \
  CUDA_HOST_REPORT(unaligned_write##bytes, bytes, true)

CUDA_HOST_REPORTS(1)
CUDA_HOST_REPORTS(2)
CUDA_HOST_REPORTS(4)
CUDA_HOST_REPORTS(8)
CUDA_HOST_REPORTS(16)
CUDA_HOST_UNALIGNED(2)
CUDA_HOST_UNALIGNED(4)
CUDA_HOST_UNALIGNED(8)
CUDA_HOST_UNALIGNED(16)

extern "C" void __tsan_read_range(void* p, std::size_t bytes) {
  report(p, bytes, false, __builtin_return_address(0));
}
extern "C" void __tsan_write_range(void* p, std::size_t bytes) {
  report(p, bytes, true, __builtin_return_address(0));
}
extern "C" void __tsan_vptr_update(void*, void*) {}
extern "C" void __tsan_func_entry(void*) {}
extern "C" void __tsan_func_exit() {}
/// Called by each file that is watched, before main.
extern "C" void __tsan_init() {
  cuda_host::watcher().begin();
}
/// Of function-local statics.
extern "C" unsigned char __tsan_atomic8_load(void const volatile* p, int) {
  return __atomic_load_n(static_cast<unsigned char const volatile*>(p), __ATOMIC_ACQUIRE);
}

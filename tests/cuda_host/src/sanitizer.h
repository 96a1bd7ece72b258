#pragma once
// The address sanitizer's interface, or nothing where it is off.
#include <cstddef>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

namespace cuda_host {

#ifdef __SANITIZE_ADDRESS__
inline constexpr bool kAddressSanitizer = true;
inline void forbid(void const* p, std::size_t n) {
  __asan_poison_memory_region(p, n);
}
inline void allow(void const* p, std::size_t n) {
  __asan_unpoison_memory_region(p, n);
}
inline void leave_stack(void** save, void const* bottom, std::size_t size) {
  __sanitizer_start_switch_fiber(save, bottom, size);
}
inline void enter_stack(void* saved, void const** bottom, std::size_t* size) {
  __sanitizer_finish_switch_fiber(saved, bottom, size);
}
#else
inline constexpr bool kAddressSanitizer = false;
inline void forbid(void const*, std::size_t) {}
inline void allow(void const*, std::size_t) {}
inline void leave_stack(void**, void const*, std::size_t) {}
inline void enter_stack(void*, void const**, std::size_t*) {}
#endif

}  // namespace cuda_host

#include "kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <cstdlib>
#include <string>

#include "lomo/core/error.h"

namespace lomo::cpu {
namespace {

#if defined(__x86_64__)
// Asked of the processor itself: not every compiler's __builtin_cpu_supports knows the name.
bool machine_has_f16c() {
  unsigned a = 0, b = 0, c = 0, d = 0;
  return __get_cpuid(1, &a, &b, &c, &d) != 0 && (c & bit_F16C) != 0;
}
#endif

bool machine_has_avx2() {
#if defined(__x86_64__)
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && machine_has_f16c();
#else
  return false;
#endif
}

bool machine_has_avx512() {
#if defined(__x86_64__)
  return machine_has_avx2() && __builtin_cpu_supports("avx512f") &&
         __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
         __builtin_cpu_supports("avx512vl");
#else
  return false;
#endif
}

Kernels const& choose() {
  char const* wanted = std::getenv("LOMO_KERNELS");
  if (wanted == nullptr) return *kernel_sets().front();
  std::string known;
  for (Kernels const* set : kernel_sets()) {
    if (std::string(set->name) == wanted) return *set;
    known += std::string(known.empty() ? "" : ", ") + set->name;
  }
  throw Error(Exit::usage, "LOMO_KERNELS=" + std::string(wanted) + ": this machine has " + known);
}

}  // namespace

std::vector<Kernels const*> const& kernel_sets() {
  static const std::vector<Kernels const*> sets = [] {
    std::vector<Kernels const*> found;
    if (machine_has_avx512() && avx512_kernels() != nullptr) found.push_back(avx512_kernels());
    if (machine_has_avx2() && avx2_kernels() != nullptr) found.push_back(avx2_kernels());
    found.push_back(baseline_kernels());
    return found;
  }();
  return sets;
}

Kernels const& kernels() {
  static Kernels const& chosen = choose();
  return chosen;
}

}  // namespace lomo::cpu

#pragma once
#include <string>
#include <vector>

#include "cuda_host/control.h"

namespace cuda_host {

struct NamedPolicy {
  std::string name;
  Policy policy;
};

/// A GPU takes another order each time.
inline std::vector<NamedPolicy> thread_orders() {
  return {{"the first time", {}}, {"the second time", {}}, {"the third time", {}}};
}
inline std::vector<NamedPolicy> all_orders() {
  return thread_orders();
}

}  // namespace cuda_host

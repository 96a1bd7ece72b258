// A plugin that was built from other sources.
#include "lomo/backend/plugin.h"

extern "C" lomo::CudaPlugin const* lomo_cuda_plugin() {
  static constexpr lomo::CudaPlugin kPlugin{"0.0.0-another", nullptr, nullptr, nullptr, nullptr};
  return &kPlugin;
}

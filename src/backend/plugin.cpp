#include "lomo/backend/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string_view>
#include <system_error>

#include "lomo/core/error.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr char const* kSymbol = "lomo_cuda_plugin";

/// The folder of the library that this code is in.
fs::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void const*>(&build_id), &info) == 0) return {};
  std::error_code error;
  return fs::canonical(info.dli_fname, error).parent_path();
}

/// The engine that the environment names, for tests; empty: the program's own.
fs::path named_file() {
  char const* const named = std::getenv("LOMO_CUDA_PLUGIN");
  if (named == nullptr) return {};
  if (fs::path(named).is_absolute()) return named;
  throw Error(Exit::usage, "LOMO_CUDA_PLUGIN=" + std::string(named) + ": not an absolute path");
}

/// Asked before the engine is opened: the CUDA libraries that come with it take 0.3 s and 90 MiB.
bool has_driver() {
  void* const driver = dlopen("libcuda.so.1", RTLD_LAZY | RTLD_LOCAL);
  if (driver != nullptr) dlclose(driver);
  return driver != nullptr;
}

}  // namespace

char const* build_id() {
  return LOMO_BUILD_ID;
}

CudaPlugin const& open_cuda_plugin() {
  const fs::path named = named_file();
  const fs::path file = named.empty() ? own_folder() / "liblomo_cuda.so" : named;
  std::error_code error;
  if (!fs::exists(file, error)) {
    throw Error(Exit::usage,
                "this lomo-train was built without the CUDA engine: there is no " + file.string());
  }
  if (named.empty() && !has_driver()) {
    throw Error(Exit::usage, "no NVIDIA driver is installed on this machine");
  }
  void* const library = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(Exit::usage, std::string("the CUDA engine cannot be opened, is the CUDA toolkit "
                                         "installed? ") +
                                 dlerror());
  }
  // Never closed: engines and their memory may outlive any owner of the handle.
  using Factory = CudaPlugin const*();
  auto* const factory = reinterpret_cast<Factory*>(dlsym(library, kSymbol));
  if (factory == nullptr) {
    throw Error(Exit::usage, file.string() + " is not a CUDA engine: it has no " + kSymbol);
  }
  CudaPlugin const& plugin = *factory();
  if (plugin.build != std::string_view(build_id())) {
    throw Error(Exit::usage, file.string() + " was built from other sources: it is " +
                                 plugin.build + ", this lomo-train " + build_id() +
                                 "; build both together");
  }
  return plugin;
}

}  // namespace lomo

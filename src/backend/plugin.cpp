#include "lomo/backend/plugin.h"

#include <dlfcn.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>
#include <system_error>

#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

/// A library of the program's own that is opened when it is needed.
struct Library {
  std::string name;   // "CUDA engine"
  std::string needs;  // what must be installed for it: "the CUDA toolkit"
  std::string file;
  char const* symbol;
};

const Library kCuda{"CUDA engine", "the CUDA toolkit", "liblomo_cuda.so", "lomo_cuda_plugin"};
const Library kMpi{"MPI library", "Open MPI", "liblomo_mpi.so", "lomo_mpi_plugin"};

/// The folder of the library that this code is in.
fs::path own_folder() {
  Dl_info info{};
  if (dladdr(reinterpret_cast<void const*>(&build_id), &info) == 0) return {};
  std::error_code error;
  return fs::canonical(info.dli_fname, error).parent_path();
}

/// What the symbol of a library gives, which must be of the program's build. Never closed: what it
/// makes may outlive any owner of the handle.
template <class Plugin>
Plugin const& open(Library const& library, fs::path const& file, int mode) {
  void* const handle = dlopen(file.c_str(), RTLD_NOW | mode);
  if (handle == nullptr) {
    throw Error(Exit::usage, "the " + library.name + " cannot be opened, is " + library.needs +
                                 " installed? " + dlerror());
  }
  using Factory = Plugin const*();
  auto* const factory = reinterpret_cast<Factory*>(dlsym(handle, library.symbol));
  if (factory == nullptr) {
    throw Error(Exit::usage,
                file.string() + " is not a " + library.name + ": it has no " + library.symbol);
  }
  Plugin const& plugin = *factory();
  if (plugin.build != std::string_view(build_id())) {
    throw Error(Exit::usage, file.string() + " was built from other sources: it is " +
                                 plugin.build + ", this lomo-train " + build_id() +
                                 "; build both together");
  }
  return plugin;
}

bool is_there(fs::path const& file) {
  std::error_code error;
  return fs::exists(file, error);
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
  const fs::path file = named.empty() ? own_folder() / kCuda.file : named;
  if (!is_there(file)) {
    throw Error(Exit::usage,
                "this lomo-train was built without the CUDA engine: there is no " + file.string());
  }
  if (named.empty() && !has_driver()) {
    throw Error(Exit::usage, "no NVIDIA driver is installed on this machine");
  }
  return open<CudaPlugin>(kCuda, file, RTLD_LOCAL);
}

std::unique_ptr<ProcessGroup> make_mpi_process_group() {
  const fs::path file = own_folder() / kMpi.file;
  if (!is_there(file)) {
    throw Error(Exit::usage,
                "this lomo-train was built without MPI, so it cannot run on several ranks: there "
                "is no " +
                    file.string() +
                    ". Install the packages of third_party/packages.txt and build it again, or "
                    "start it alone");
  }
  // Global: Open MPI opens components that look for its symbols.
  return open<MpiPlugin>(kMpi, file, RTLD_GLOBAL).make();
}

}  // namespace lomo

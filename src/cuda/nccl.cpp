#include "nccl.h"

#include <dlfcn.h>

#include <string>

#include "lomo/core/error.h"

namespace lomo::cuda {
namespace {

constexpr char const* kLibrary = "libnccl.so.2";

template <class F>
void find(void* library, char const* name, F& function) {
  function = reinterpret_cast<F>(dlsym(library, name));
  if (function == nullptr) {
    throw Error(Exit::usage, std::string(kLibrary) + " has no " + name +
                                 "; several GPUs need NCCL 2.14 or newer");
  }
}

}  // namespace

// Never closed: it has threads of its own.
Nccl open_nccl() {
  void* const library = dlopen(kLibrary, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    throw Error(Exit::usage,
                std::string("several GPUs need NCCL, which cannot be opened: ") + dlerror());
  }
  Nccl nccl{};
  find(library, "ncclGetUniqueId", nccl.get_unique_id);
  find(library, "ncclCommInitRankConfig", nccl.init_rank);
  find(library, "ncclCommFinalize", nccl.finalize);
  find(library, "ncclCommDestroy", nccl.destroy);
  find(library, "ncclCommAbort", nccl.abort);
  find(library, "ncclCommGetAsyncError", nccl.async_error);
  find(library, "ncclGetErrorString", nccl.error_string);
  find(library, "ncclGroupStart", nccl.group_start);
  find(library, "ncclGroupEnd", nccl.group_end);
  find(library, "ncclSend", nccl.send);
  find(library, "ncclRecv", nccl.receive);
  find(library, "ncclBroadcast", nccl.broadcast);
  return nccl;
}

}  // namespace lomo::cuda

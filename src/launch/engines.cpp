#include "lomo/launch/engines.h"

#include <filesystem>
#include <string>
#include <system_error>

#include "lomo/backend/host.h"
#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"

namespace lomo::launch {

Engines::Engines(Process const& process)
    : threads_(process.threads),
      local_rank_(process.ranks.local_rank()),
      local_size_(process.ranks.local_size()) {
  if (process.device == "cpu") return;
  std::string unavailable_reason;
  try {
    CudaPlugin const& plugin = open_cuda_plugin();
    unavailable_reason = plugin.unavailable_reason(local_rank_);
    if (unavailable_reason.empty()) plugin_ = &plugin;
  } catch (Error const& error) {
    unavailable_reason = error.what();
  }
  if (plugin_ != nullptr) return;
  if (process.device == "cuda") {
    throw Error(Exit::usage, "--device cuda: " + unavailable_reason + ". Use --device cpu or auto");
  }
  // Of interest to who has a GPU; for the others it is what they expect.
  std::error_code error;
  const bool has_gpu = std::filesystem::exists("/proc/driver/nvidia/version", error);
  has_gpu ? log::warn("computing on the CPU: {}", unavailable_reason)
          : log::debug("computing on the CPU: {}", unavailable_reason);
}

std::unique_ptr<Backend> Engines::make(std::size_t memory) const {
  const EngineOptions options{.threads = threads_, .memory = memory, .local_rank = local_rank_};
  return plugin_ != nullptr ? plugin_->make(options) : make_cpu_backend(options);
}

std::unique_ptr<Communicator> Engines::connect(Backend& engine, ProcessGroup& ranks) const {
  if (ranks.size() == 1) return nullptr;
  if (plugin_ != nullptr) return plugin_->connect(engine, ranks.host(), ranks.timeout());
  return ranks.communicator(engine);
}

std::size_t Engines::available_memory() const {
  if (plugin_ != nullptr) return plugin_->available_memory(local_rank_);
  return host::available_memory() / static_cast<std::size_t>(local_size_);
}

}  // namespace lomo::launch

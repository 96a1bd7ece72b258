#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/parallel/stored_tensor.h"

namespace lomo {

/// Writes a safetensors file from what the ranks hold, each rank its rows to their places; what all
/// hold, rank 0 writes. Collective; `host` as in host_collectives.h. On an error, which is then the
/// same on every rank, there is no file.
void write_tensors(Backend& backend, Communicator& host, std::filesystem::path const& file,
                   std::vector<StoredTensor> const& tensors,
                   std::map<std::string, std::string> const& metadata);

}  // namespace lomo

#pragma once
#include <filesystem>
#include <string>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/config/config.h"
#include "lomo/train/inputs.h"

namespace lomo {

/// Something that must be the same on all ranks.
struct Fingerprint {
  std::string what;   // "optimizer.lr"
  std::string value;  // as text; only compared, or short enough to be shown
  Exit exit;          // of the error when ranks differ
};

/// The program and its library, every key of the config, the model folder (headers, index, sizes,
/// and pages here and there, not every byte) and the data.
std::vector<Fingerprint> fingerprints_of(TrainConfig const& config,
                                         std::filesystem::path const& model, Inputs const& inputs);

/// Collective. Throws, on all ranks alike, an Error that names the ranks that differ from rank 0
/// and in what.
void require_rank_consistency(Communicator& host, std::vector<Fingerprint> const& mine);

/// Collective. `folder` was made by rank 0: throws Error(Exit::usage), on all ranks alike, naming
/// those that do not find it.
void require_shared(Communicator& host, std::filesystem::path const& folder);

}  // namespace lomo

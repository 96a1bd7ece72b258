#pragma once
#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/backend/communicator.h"
#include "lomo/backend/ledger.h"

namespace lomo {

/// What every rank held at its own peak, in rank order. Collective.
std::vector<CategoryBytes> peaks_of_ranks(Communicator& host, Ledger const& mine);

/// The line of metrics.jsonl that says so.
nlohmann::ordered_json memory_event(std::vector<CategoryBytes> const& peaks);

/// The sum of each.
std::vector<std::size_t> totals(std::vector<CategoryBytes> const& peaks);
/// "1.2 GiB, 1.1 GiB"
std::string list_of_bytes(std::vector<std::size_t> const& bytes);

}  // namespace lomo

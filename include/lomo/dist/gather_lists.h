#pragma once
#include <cstdint>
#include <vector>

#include "lomo/backend/communicator.h"

namespace lomo {

/// What each rank gave, in rank order; lists may be of any length. Blocks.
std::vector<std::vector<std::int32_t>> gather_lists(Communicator& ranks,
                                                    std::vector<std::int32_t> const& mine);

}  // namespace lomo

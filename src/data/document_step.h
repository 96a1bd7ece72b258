#pragma once
#include <cstddef>
#include <cstdint>
#include <limits>

namespace lomo {

/// Tokens of the sequences that a document is cut into, of data.max_length.
inline std::size_t document_step(std::int64_t max_length) {
  return max_length > 0 ? static_cast<std::size_t>(max_length)
                        : std::numeric_limits<std::size_t>::max() / 2;
}

}  // namespace lomo

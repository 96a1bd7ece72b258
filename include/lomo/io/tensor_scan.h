#pragma once
#include <cstdint>
#include <string>

#include "lomo/io/safetensors.h"

namespace lomo {

/// What one pass over a tensor's bytes tells.
struct TensorScan {
  std::uint64_t hash = 0;      // XXH3 of the bytes
  std::int64_t nonfinite = 0;  // elements that are NaN or infinite
  std::int64_t first_bad = -1;
  double largest = 0;  // magnitude of the finite elements; 0 of integers
};
TensorScan scan_tensor(SafetensorsFile const& file, SafetensorsEntry const& entry);

/// "[3, 17]": the place of element `index` in the tensor.
std::string element_text(SafetensorsEntry const& entry, std::int64_t index);

}  // namespace lomo

#pragma once
#include <cstdint>
#include <string>

#include "lomo/parallel/parameter.h"

namespace lomo {

/// A tensor of a checkpoint, weight or optimizer state, and the part of it that lies on this rank.
struct StoredTensor {
  std::string name;
  Shape whole;           // (O,I) or (n)
  RowRange owned;        // rows of `whole` that lie here
  bool sharded = false;  // whether each rank holds other rows; else all hold the same
  Tensor value;

  /// Where the first byte of `value` stands in the whole tensor.
  std::uint64_t first_byte() const {
    return static_cast<std::uint64_t>(owned.first * whole.cols()) * size_of(value.dtype());
  }
  std::uint64_t whole_bytes() const {
    return static_cast<std::uint64_t>(whole.numel()) * size_of(value.dtype());
  }
};

inline StoredTensor stored(Parameter const& parameter) {
  return {parameter.name, parameter.whole, parameter.owned, parameter.sharded(), parameter.value};
}

}  // namespace lomo

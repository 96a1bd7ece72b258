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
  // ---- of a part of a tensor on disk, such as q_proj of a fused qkv_proj
  std::string part_of = {};   // that tensor's name; empty: it is a tensor itself
  Shape all = {};             // and shape
  std::int64_t part_row = 0;  // the row of it where this one begins

  std::string const& name_on_disk() const { return part_of.empty() ? name : part_of; }
  Shape shape_on_disk() const { return part_of.empty() ? whole : all; }
  /// Where the first byte of `value` stands in the tensor on disk.
  std::uint64_t first_byte() const {
    return static_cast<std::uint64_t>((part_row + owned.first) * whole.cols()) *
           size_of(value.dtype());
  }
  std::uint64_t whole_bytes() const {
    return static_cast<std::uint64_t>(whole.numel()) * size_of(value.dtype());
  }
};

inline StoredTensor stored(Parameter const& parameter) {
  return {parameter.name, parameter.whole, parameter.owned, parameter.sharded(), parameter.value};
}

}  // namespace lomo

#pragma once
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "lomo/model/weights.h"
#include "lomo/parallel/stored_tensor.h"

namespace lomo {

/// Where the weights of a model lie in the tensors of its checkpoint.
class DiskLayout {
 public:
  /// `tensors`: as weight_shapes lists them; must outlive this.
  explicit DiskLayout(std::vector<WeightShape> const& tensors) {
    for (WeightShape const& tensor : tensors) {
      if (tensor.parts.empty()) places_[tensor.name] = {&tensor, 0};
      std::int64_t row = 0;
      for (ParameterGroup::Spec const& part : tensor.parts) {
        places_[part.name] = {&tensor, row};
        row += part.rows;
      }
    }
  }

  StoredTensor stored(Parameter const& parameter) const {
    StoredTensor out = lomo::stored(parameter);
    auto const& [tensor, row] = places_.at(parameter.name);
    if (tensor->parts.empty()) return out;
    out.part_of = tensor->name;
    out.all = Shape(tensor->shape[0], tensor->shape[1]);
    out.part_row = row;
    return out;
  }

 private:
  struct Place {
    WeightShape const* tensor = nullptr;
    std::int64_t row = 0;
  };
  std::map<std::string, Place> places_;
};

}  // namespace lomo

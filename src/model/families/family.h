#pragma once
#include <span>
#include <string_view>

#include "lomo/io/json.h"
#include "lomo/model/config.h"

namespace lomo {

/// A family of models: how its config.json is read. Its weights are named by a NameMap.
struct Family {
  std::string_view model_type;    // of config.json
  std::string_view architecture;  // the same as transformers' class
  /// Fills the config with all but family and dtype; refuses by name what this family alone has
  /// and is not supported.
  void (*read)(JsonReader& reader, ModelConfig& config);
};

/// All that are known; the first is that of a config that does not say.
std::span<Family const> families();

/// Why a model_type that is known to be something else is refused, or empty: "a mixture of
/// experts".
std::string_view what_else(std::string_view model_type);

}  // namespace lomo

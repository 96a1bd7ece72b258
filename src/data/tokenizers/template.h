#pragma once
#include <cstdint>
#include <vector>

#include "document.h"

namespace lomo::tokenizers {

/// What a post-processor puts around one text.
struct Template {
  std::vector<std::int32_t> before, after;
};

/// ByteLevel, TemplateProcessing (its form for one text), Sequence; others are refused by name.
Template read_template(JsonReader reader);

}  // namespace lomo::tokenizers

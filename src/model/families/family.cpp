#include "family.h"

#include <array>

namespace lomo {

std::span<Family const> families() {
  static constexpr std::array kFamilies = {Family{"llama", "LlamaForCausalLM", read_llama},
                                           Family{"mistral", "MistralForCausalLM", read_mistral}};
  return kFamilies;
}

}  // namespace lomo

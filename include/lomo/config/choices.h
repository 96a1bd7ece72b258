#pragma once
#include <initializer_list>
#include <string_view>
#include <utility>

#include "lomo/data/conversation.h"
#include "lomo/data/tokenizer.h"

/// The names of what can be chosen, once for configs, which read and write them, and for options of
/// the command line.
namespace lomo {

template <class E>
using Names = std::initializer_list<std::pair<std::string_view, E>>;

inline const Names<TokenizerFile> kTokenizerFiles = {{"auto", TokenizerFile::automatic},
                                                     {"json", TokenizerFile::json},
                                                     {"model", TokenizerFile::model}};
inline const Names<LossOn> kLossOn = {{"all_answers", LossOn::all_answers},
                                      {"last_answer", LossOn::last_answer},
                                      {"everything", LossOn::everything}};

template <class E>
std::string_view name_of(E value, Names<E> const& names) {
  for (auto const& [name, meaning] : names) {
    if (meaning == value) return name;
  }
  return "?";
}

}  // namespace lomo

#pragma once
#include <CLI/CLI.hpp>
#include <string>
#include <vector>

#include "lomo/config/choices.h"

namespace lomo::app {

/// An option that takes one of `names`, the same that configs take.
template <class E>
CLI::Option* add_choice(CLI::App& app, std::string const& option, E& value, Names<E> const& names,
                        std::string const& about) {
  std::vector<std::string> known;
  for (auto const& [name, meaning] : names) known.emplace_back(name);
  const auto choose = [&value, &names](std::string const& word) {
    for (auto const& [name, meaning] : names) {
      if (name == word) value = meaning;
    }
  };
  return app.add_option_function<std::string>(option, choose, about)
      ->check(CLI::IsMember(known))
      ->default_str(std::string(name_of(value, names)));
}

/// --tokenizer, for commands that read no run's config.
void add_tokenizer_option(CLI::App& app, TokenizerFile& value);

}  // namespace lomo::app

#include "tokenizer_option.h"

namespace lomo::app {

void add_tokenizer_option(CLI::App& app, std::string& name) {
  app.add_option("--tokenizer", name,
                 "the tokenizer's file: json, model, or auto: tokenizer.json, which a "
                 "tokenizer.model beside it must agree with")
      ->check(CLI::IsMember({"auto", "json", "model"}))
      ->capture_default_str();
}

TokenizerFile tokenizer_file(std::string const& name) {
  if (name == "json") return TokenizerFile::json;
  return name == "model" ? TokenizerFile::model : TokenizerFile::automatic;
}

}  // namespace lomo::app

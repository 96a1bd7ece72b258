#include "choice_option.h"

namespace lomo::app {

void add_tokenizer_option(CLI::App& app, TokenizerFile& value) {
  add_choice(app, "--tokenizer", value, kTokenizerFiles,
             "the tokenizer's file: json, model, or auto: tokenizer.json, which a tokenizer.model "
             "beside it must agree with");
}

}  // namespace lomo::app

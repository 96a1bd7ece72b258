#pragma once
#include <ctime>
#include <filesystem>
#include <string>
#include <vector>

#include "lomo/data/conversation.h"
#include "lomo/data/jinja.h"
#include "lomo/data/tokenizer.h"

namespace lomo {

/// The chat template of a model, and the special tokens that it writes.
class ChatTemplate {
 public:
  /// `choice` is empty, the name of a built-in template (see builtin_chat_templates), or a file.
  /// Empty takes the folder's own, from the first of chat_template.jinja, chat_template.json and
  /// tokenizer_config.json that has one (a text, or a list of {name, template}: `default`).
  /// bos_token, eos_token and the like are Tokenizer::template_tokens().
  /// Throws Error(Exit::data) or Error(Exit::usage) when there is no template or it cannot be read.
  ChatTemplate(std::filesystem::path const& folder, std::string const& choice,
               Tokenizer const& tokenizer);

  /// A template given as text, with the variables that it sees besides messages and tools.
  ChatTemplate(std::string const& source, std::string const& name, OrderedJson variables);

  jinja::Rendering render(OrderedJson const& messages, OrderedJson const& tools,
                          bool add_generation_prompt) const;

  bool has_generation() const { return template_.has_generation(); }
  bool mentions(std::string_view word) const { return template_.mentions(word); }
  /// What renderings depend on besides the messages: template, special tokens, and the day where
  /// the template writes it.
  std::string identity() const;
  /// Where it was read: a file, or "built-in chatml".
  std::string const& origin() const { return origin_; }

 private:
  struct Source {
    std::string text, origin;
  };
  static Source find(std::filesystem::path const& folder, std::string const& choice);
  ChatTemplate(Source const& source, OrderedJson variables);

  std::string origin_, source_;
  jinja::Template template_;
  OrderedJson variables_;
  std::tm now_;  // one moment for all renderings
};

/// chatml, llama2, llama3, mistral, zephyr, vicuna, alpaca.
std::vector<std::string> builtin_chat_templates();

}  // namespace lomo

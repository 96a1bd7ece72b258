#include "lomo/data/chat_template.h"

#include <algorithm>
#include <utility>

#include "builtin_templates.h"
#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/json.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

/// An object of a folder; null when the file is not there.
Json object_of(fs::path const& file) {
  if (!fs::exists(file)) return nullptr;
  Json json = read_json(file, Exit::data);
  if (!json.is_object()) throw Error(Exit::data, file.string() + ": must hold one JSON object");
  return json;
}

/// The template under "chat_template": a text, or that named `default` of a list. Empty: none.
std::string template_in(fs::path const& file) {
  const Json json = object_of(file);
  if (!json.contains("chat_template") || json["chat_template"].is_null()) return {};
  Json const& value = json["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  std::string names;
  if (value.is_array()) {
    for (Json const& entry : value) {
      const bool whole = entry.is_object() && entry.contains("name") && entry["name"].is_string() &&
                         entry.contains("template") && entry["template"].is_string();
      if (!whole) break;
      if (entry["name"] == "default") return entry["template"].get<std::string>();
      names += " \"" + entry["name"].get<std::string>() + "\"";
    }
  }
  throw Error(Exit::data, file.string() +
                              ": /chat_template must be a text, or a list in which one of {name, "
                              "template} is named \"default\"" +
                              (names.empty() ? "" : "; found" + names) +
                              ". data.template (--template) can name a file");
}

std::string builtin_names() {
  std::string names;
  for (auto const& [name, source] : kBuiltinTemplates) {
    names += (names.empty() ? "" : ", ") + std::string(name);
  }
  return names;
}

}  // namespace

ChatTemplate::Source ChatTemplate::find(fs::path const& folder, std::string const& choice) {
  for (auto const& [name, source] : kBuiltinTemplates) {
    if (choice == name) return {std::string(source), "built-in " + choice};
  }
  if (!choice.empty()) {
    if (fs::is_regular_file(choice)) return {read_file(choice, Exit::data), choice};
    throw Error(Exit::usage, "data.template (--template): \"" + choice +
                                 "\" is neither a file nor a built-in template (" +
                                 builtin_names() + ")");
  }
  const fs::path file = folder / "chat_template.jinja";
  if (fs::is_regular_file(file)) return {read_file(file, Exit::data), file.string()};
  for (char const* name : {"chat_template.json", "tokenizer_config.json"}) {
    std::string text = template_in(folder / name);
    if (!text.empty()) return {std::move(text), (folder / name).string()};
  }
  throw Error(Exit::data,
              folder.string() +
                  ": has no chat template (chat_template.jinja, or \"chat_template\" in "
                  "chat_template.json or tokenizer_config.json). data.template (--template) can "
                  "name a file, or a built-in one: " +
                  builtin_names());
}

ChatTemplate::ChatTemplate(Source const& source, OrderedJson variables)
    : origin_(source.origin),
      source_(source.text),
      template_(source.text, source.origin),
      variables_(std::move(variables)),
      now_(jinja::rendering_time()) {}

ChatTemplate::ChatTemplate(fs::path const& folder, std::string const& choice,
                           Tokenizer const& tokenizer)
    : ChatTemplate(find(folder, choice), OrderedJson(tokenizer.template_tokens())) {}

ChatTemplate::ChatTemplate(std::string const& source, std::string const& name,
                           OrderedJson variables)
    : ChatTemplate(Source{source, name}, std::move(variables)) {}

jinja::Rendering ChatTemplate::render(OrderedJson const& messages, OrderedJson const& tools,
                                      bool add_generation_prompt) const {
  OrderedJson variables = variables_;
  variables["messages"] = messages;
  variables["tools"] = tools;
  variables["documents"] = nullptr;
  variables["add_generation_prompt"] = add_generation_prompt;
  return template_.render(variables, now_);
}

std::string ChatTemplate::identity() const {
  std::string all = source_ + variables_.dump();
  if (mentions("strftime_now")) {
    all += std::to_string(now_.tm_year) + " " + std::to_string(now_.tm_yday);
  }
  return all;
}

std::vector<std::string> builtin_chat_templates() {
  std::vector<std::string> names;
  for (auto const& [name, source] : kBuiltinTemplates) names.emplace_back(name);
  return names;
}

}  // namespace lomo

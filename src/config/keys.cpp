#include "lomo/config/keys.h"

#include "declarations.h"

namespace lomo {

namespace {

/// As the table shows it: `text` in backticks, 1e-8 for 1e-08.
std::string shown(nlohmann::ordered_json const& value) {
  if (value == "0B") return "0";
  if (value.is_string()) return "`" + value.get<std::string>() + "`";
  std::string text = value.dump();
  if (text.ends_with(".0")) text.resize(text.size() - 2);
  const std::size_t exponent = text.find("e-0");
  if (exponent != std::string::npos) text.erase(exponent + 2, 1);
  return text;
}

/// With the bars that would end a cell escaped.
std::string cell(std::string const& text) {
  std::string out;
  for (const char c : text) out += c == '|' ? "\\|" : std::string(1, c);
  return out;
}

}  // namespace

std::string ConfigSection::path(ConfigKey const& key) const {
  return name.empty() ? key.name : name + "." + key.name;
}

std::vector<ConfigSection> config_sections(TrainConfig& config) {
  return {keys::declare(config.model),      keys::declare(config.data),
          keys::declare(config.batch),      keys::declare(config.train),
          keys::declare(config.optimizer),  keys::declare(config.schedule),
          keys::declare(config.clip),       keys::declare(config.gradient_check),
          keys::declare(config.loss_scale), keys::declare(config.spike_guard),
          keys::declare(config.metrics),    keys::declare(config.memory),
          keys::declare(config.ranks),      keys::declare(config.eval),
          keys::declare(config.save),       keys::declare_output(config.output)};
}

std::string config_table() {
  TrainConfig defaults;
  std::string table =
      "| key | type | default | range | meaning |\n| --- | --- | --- | --- | --- |\n";
  for (ConfigSection const& section : config_sections(defaults)) {
    for (ConfigKey const& key : section.keys) {
      const std::string fallback =
          key.shown_default.empty() ? shown(key.write()) : key.shown_default;
      table += "| `" + section.path(key) + "` | " + key.type + " | " + cell(fallback) + " | " +
               cell(key.values) + " | " + cell(key.meaning) + " |\n";
    }
  }
  return table;
}

}  // namespace lomo

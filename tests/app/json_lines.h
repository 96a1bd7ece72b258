#pragma once
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace lomo::test {

/// The values of a JSONL text, their keys in order.
inline std::vector<nlohmann::ordered_json> lines_of(std::string const& text) {
  std::vector<nlohmann::ordered_json> all;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) {
    all.push_back(nlohmann::ordered_json::parse(line));
  }
  return all;
}

}  // namespace lomo::test

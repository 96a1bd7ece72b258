#pragma once
#include <cstdlib>
#include <map>
#include <string>
#include <utility>

namespace lomo::test {

using Variables = std::map<std::string, std::string>;

/// Variables of the environment while it lives, of this process and those that it starts.
class Environment {
 public:
  explicit Environment(Variables variables) : variables_(std::move(variables)) {
    for (auto const& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  Environment(Environment const&) = delete;  // they are unset once
  Environment& operator=(Environment const&) = delete;
  ~Environment() {
    for (auto const& [name, value] : variables_) unsetenv(name.c_str());
  }

 private:
  Variables variables_;
};

}  // namespace lomo::test

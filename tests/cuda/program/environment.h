#pragma once
#include <cstdlib>
#include <map>
#include <string>

namespace lomo::test {

/// Variables of the environment while it lives, of this process and those that it starts.
class Environment {
 public:
  explicit Environment(std::map<std::string, std::string> variables)
      : variables_(std::move(variables)) {
    for (auto const& [name, value] : variables_) setenv(name.c_str(), value.c_str(), 1);
  }
  Environment(Environment const&) = delete;  // they are unset once
  Environment& operator=(Environment const&) = delete;
  ~Environment() {
    for (auto const& [name, value] : variables_) unsetenv(name.c_str());
  }

 private:
  std::map<std::string, std::string> variables_;
};

/// The program sees the emulated GPU.
inline Environment hosted(std::map<std::string, std::string> more = {}) {
  more.emplace("LOMO_CUDA_PLUGIN", LOMO_CUDA_HOSTED_PLUGIN);
  return Environment(std::move(more));
}

}  // namespace lomo::test

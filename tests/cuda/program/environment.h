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

/// In what the program says of its engine.
#ifdef LOMO_CUDA_TEST_ON_GPU
inline constexpr char const* kEngineName = "CUDA on ";
#else
inline constexpr char const* kEngineName = "CUDA on emulated CUDA (tests), sm_";
#endif

/// The program takes the engine that this test is of: the one on the emulated GPU or, in tests/gpu,
/// the real one.
inline Environment hosted(std::map<std::string, std::string> more = {}) {
  more.emplace("LOMO_CUDA_PLUGIN", LOMO_CUDA_TEST_PLUGIN);
  return Environment(std::move(more));
}

}  // namespace lomo::test

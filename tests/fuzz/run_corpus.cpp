#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "fuzz.h"

namespace fs = std::filesystem;

namespace {

constexpr int kMutants = 60;  // of each file of the corpus: a smoke run, not a search

void try_bytes(std::string const& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<std::uint8_t const*>(bytes.data()), bytes.size());
}

}  // namespace

/// Stands in for libFuzzer where it is not: every file of a folder, whole, and with a few bytes
/// changed, cut or doubled at random (the same at every run).
int main(int argc, char** argv) {
  if (argc != 2) return 2;
  int executions = 0;
  std::mt19937_64 random(1);
  for (auto const& entry : fs::recursive_directory_iterator(argv[1])) {
    if (!entry.is_regular_file()) continue;
    std::ifstream in(entry.path(), std::ios::binary);
    const std::string whole{std::istreambuf_iterator<char>(in), {}};
    try_bytes(whole);
    for (int i = 0; i < kMutants && !whole.empty(); ++i, ++executions) {
      std::string bytes = whole;
      const std::size_t at = random() % bytes.size();
      if (i % 3 == 0) bytes.resize(at);
      if (i % 3 == 1) bytes[at] = static_cast<char>(random());
      if (i % 3 == 2) bytes.insert(at, bytes.substr(at, random() % 16));
      try_bytes(bytes);
    }
    ++executions;
  }
  std::error_code ignored;
  fs::remove_all(lomo::fuzz::folder(), ignored);
  std::printf("%d executions\n", executions);
  return executions > 0 ? 0 : 1;
}

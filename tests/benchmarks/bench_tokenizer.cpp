// How fast a tokenizer is read and encodes, on one core, in processor time.
//   bench_tokenizer texts.jsonl tokenizer...
// texts.jsonl: a "text" a line. tokenizer: a folder, a tokenizer.json or a tokenizer.model. The
// best of three, each with words already seen in the ones before.
#include <algorithm>
#include <cstdio>
#include <ctime>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "lomo/data/readers.h"
#include "lomo/data/tokenizer.h"

using namespace lomo;

namespace {

double seconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <class F>
double best_of_three(F&& work) {
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < 3; ++i) {
    const double start = seconds();
    work();
    best = std::min(best, seconds() - start);
  }
  return best;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fputs("bench_tokenizer texts.jsonl tokenizer...\n", stderr);
    return 2;
  }
  std::vector<std::string> texts;
  double bytes = 0;
  each_line(argv[1], [&](std::string const& line, std::string const&) {
    texts.push_back(nlohmann::json::parse(line)["text"].get<std::string>());
    bytes += static_cast<double>(texts.back().size());
  });
  std::printf("%zu texts, %.1f MB\n", texts.size(), bytes / 1e6);
  for (int i = 2; i < argc; ++i) {
    const double load = best_of_three([&] { const Tokenizer tokenizer(argv[i]); });
    const Tokenizer tokenizer(argv[i]);
    std::size_t ids = 0;
    const double encode = best_of_three([&] {
      ids = 0;
      for (std::string const& text : texts) ids += tokenizer.encode(text).size();
    });
    std::printf("%s: read in %.3f s, %.1f MB/s, %zu ids\n", argv[i], load, bytes / 1e6 / encode,
                ids);
  }
  return 0;
}

#include "lomo/dist/words.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "lomo/core/error.h"

namespace lomo {

std::vector<std::string> gather_words(Communicator& host, std::string_view mine) {
  const std::vector<std::size_t> lengths = host.all_gather_host(mine.size());
  const std::size_t longest = *std::max_element(lengths.begin(), lengths.end());
  std::string padded(mine);
  padded.resize(longest);
  std::string all(longest * lengths.size(), '\0');
  host.all_gather_host(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(padded)));
  std::vector<std::string> words;
  for (std::size_t q = 0; q < lengths.size(); ++q) {
    words.push_back(all.substr(q * longest, lengths[q]));
  }
  return words;
}

std::string by_rank_0(Communicator& host, std::function<std::string()> const& f) {
  std::string words;
  int failed = 0;  // else the exit code
  if (host.rank() == 0) {
    try {
      words = f();
    } catch (Error const& error) {
      words = error.what();
      failed = static_cast<int>(error.code());
    }
  }
  failed = host.all_gather_host(failed).front();
  words = gather_words(host, words).front();
  if (failed != 0) throw Error(static_cast<Exit>(failed), words);
  return words;
}

void only_rank_0(Communicator& host, std::function<void()> const& f) {
  by_rank_0(host, [&] {
    f();
    return std::string();
  });
}

bool any(Communicator& host, bool mine) {
  const std::vector<char> all = host.all_gather_host(static_cast<char>(mine));
  return std::ranges::count(all, 0) != static_cast<std::ptrdiff_t>(all.size());
}

}  // namespace lomo

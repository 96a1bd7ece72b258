#include "lomo/parallel/host_collectives.h"

#include <algorithm>
#include <cstddef>
#include <exception>
#include <span>

#include "lomo/core/error.h"

namespace lomo {

namespace {

/// How f ended.
struct RankResult {
  int code = 0;       // else the exit code
  std::string words;  // of its error
};

RankResult outcome_of(std::function<void()> const& f) {
  try {
    f();
  } catch (Error const& error) {
    return {static_cast<int>(error.code()), error.what()};
  } catch (std::exception const& error) {
    return {static_cast<int>(Exit::failure), error.what()};
  }
  return {};
}

}  // namespace

std::vector<std::string> all_gather_strings(Communicator& host, std::string_view mine) {
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

std::string broadcast_from_root(Communicator& host, std::function<std::string()> const& f) {
  std::string words;
  RankResult mine;
  if (host.rank() == 0) mine = outcome_of([&] { words = f(); });
  const int code = host.all_gather_host(mine.code).front();
  words = all_gather_strings(host, code == 0 ? words : mine.words).front();
  if (code != 0) throw Error(static_cast<Exit>(code), words);
  return words;
}

void on_root(Communicator& host, std::function<void()> const& f) {
  broadcast_from_root(host, [&] {
    f();
    return std::string();
  });
}

void all_ranks_or_throw(Communicator& host, std::function<void()> const& f) {
  const RankResult mine = outcome_of(f);
  const std::vector<int> codes = host.all_gather_host(mine.code);
  const auto failed = std::ranges::find_if(codes, [](int code) { return code != 0; });
  if (failed == codes.end()) return;
  const std::vector<std::string> words = all_gather_strings(host, mine.words);
  const auto first = failed - codes.begin();
  const bool alone = std::ranges::count(codes, 0) > 0;
  const std::string who = alone ? "rank " + std::to_string(first) + ": " : std::string();
  throw Error(static_cast<Exit>(*failed), who + words[static_cast<std::size_t>(first)]);
}

bool any_rank(Communicator& host, bool mine) {
  const std::vector<char> all = host.all_gather_host(static_cast<char>(mine));
  return std::ranges::count(all, 0) != static_cast<std::ptrdiff_t>(all.size());
}

}  // namespace lomo

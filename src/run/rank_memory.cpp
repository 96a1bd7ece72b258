#include "rank_memory.h"

#include <numeric>

#include "lomo/core/text.h"

namespace lomo {

std::vector<CategoryBytes> peaks_of_ranks(Communicator& host, Ledger const& mine) {
  return host.all_gather_host(mine.at_peak());
}

nlohmann::ordered_json memory_event(std::vector<CategoryBytes> const& peaks) {
  auto ranks = nlohmann::ordered_json::array();
  for (CategoryBytes const& bytes : peaks) {
    nlohmann::ordered_json rank;
    for (int c = 0; c < kCategories; ++c) {
      rank[std::string(to_string(static_cast<Category>(c)))] = bytes[static_cast<std::size_t>(c)];
    }
    ranks.push_back(std::move(rank));
  }
  return {{"event", "memory"}, {"at_peak_by_rank", std::move(ranks)}};
}

std::vector<std::size_t> totals(std::vector<CategoryBytes> const& peaks) {
  std::vector<std::size_t> sums;
  for (CategoryBytes const& bytes : peaks) {
    sums.push_back(std::accumulate(bytes.begin(), bytes.end(), std::size_t{0}));
  }
  return sums;
}

std::string list_of_bytes(std::vector<std::size_t> const& bytes) {
  std::string list;
  for (const std::size_t n : bytes) list += (list.empty() ? "" : ", ") + human_bytes(n);
  return list;
}

}  // namespace lomo

#include "lomo/dist/gather_lists.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace lomo {

std::vector<std::vector<std::int32_t>> gather_lists(Communicator& ranks,
                                                    std::vector<std::int32_t> const& mine) {
  const auto lengths = ranks.all_gather_host(static_cast<std::int64_t>(mine.size()));
  const auto longest = static_cast<std::size_t>(*std::max_element(lengths.begin(), lengths.end()));
  std::vector<std::int32_t> padded = mine;
  padded.resize(longest);
  std::vector<std::int32_t> all(longest * lengths.size());
  ranks.all_gather_host(std::as_writable_bytes(std::span(all)), std::as_bytes(std::span(padded)));
  std::vector<std::vector<std::int32_t>> lists;
  for (std::size_t q = 0; q < lengths.size(); ++q) {
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(q * longest);
    lists.emplace_back(begin, begin + lengths[q]);
  }
  return lists;
}

}  // namespace lomo

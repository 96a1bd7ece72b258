#include "lomo/parallel/sum_over_ranks.h"

#include <vector>

namespace lomo {

void sum_over_ranks(Backend& backend, Communicator& ranks, Tensor sum, Tensor mine) {
  if (ranks.size() == 1) {
    if (sum.raw() != mine.raw()) backend.copy(sum, mine);
    return;
  }
  const Shape row(1, mine.numel());
  Buffer partials = backend.allocate(Shape(ranks.size(), mine.numel()), mine.dtype(),
                                     Category::communication, "parts of a sum");  // (R,n)
  const std::vector<std::int64_t> one(static_cast<std::size_t>(ranks.size()), 1);
  ranks.wait(ranks.all_gather(partials, mine.reshaped(row), one));
  backend.sum_partials(sum.reshaped(row), partials);
}

}  // namespace lomo

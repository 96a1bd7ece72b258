#include "lomo/data/batch.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "lomo/core/error.h"

namespace lomo {

namespace {

std::int32_t as_index(std::size_t n) {
  return static_cast<std::int32_t>(n);
}

void require_fits(std::span<SequenceView const> sequences) {
  std::size_t rows = 0;
  for (std::size_t s = 0; s < sequences.size(); ++s) {
    if (sequences[s].tokens.size() != sequences[s].targets.size()) {
      throw Error("make_batch: sequence " + std::to_string(s) + " has " +
                  std::to_string(sequences[s].tokens.size()) + " tokens and " +
                  std::to_string(sequences[s].targets.size()) + " targets; they must pair up");
    }
    rows += sequences[s].tokens.size();
  }
  if (rows > static_cast<std::size_t>(std::numeric_limits<std::int32_t>::max())) {
    throw Error("make_batch: " + std::to_string(rows) +
                " tokens in one batch; rows are counted in 32 bits, use smaller batches");
  }
}

/// Rows grouped by id: what a sparse embedding gradient is summed by.
void group_ids(Batch& batch) {
  batch.id_order.resize(batch.tokens.size());
  std::iota(batch.id_order.begin(), batch.id_order.end(), 0);
  const auto id = [&](std::int32_t row) { return batch.tokens[static_cast<std::size_t>(row)]; };
  std::stable_sort(batch.id_order.begin(), batch.id_order.end(),
                   [&](std::int32_t a, std::int32_t b) { return id(a) < id(b); });
  for (std::size_t i = 0; i < batch.id_order.size(); ++i) {
    const std::int32_t now = id(batch.id_order[i]);
    if (batch.unique_ids.empty() || batch.unique_ids.back() != now) {
      batch.unique_ids.push_back(now);
      batch.id_segments.push_back(as_index(i));
    }
  }
  batch.id_segments.push_back(as_index(batch.id_order.size()));
}

}  // namespace

Sequence make_sequence(std::span<std::int32_t const> ids, std::size_t loss_from) {
  Sequence sequence;
  if (ids.size() < 2) return sequence;
  sequence.tokens.assign(ids.begin(), ids.end() - 1);
  sequence.targets.assign(ids.begin() + 1, ids.end());
  const std::size_t masked = std::min(loss_from == 0 ? 0 : loss_from - 1, ids.size() - 1);
  std::fill_n(sequence.targets.begin(), masked, kNoTarget);
  return sequence;
}

std::int64_t SequenceView::target_count() const {
  return std::ranges::count_if(targets, [](std::int32_t target) { return target != kNoTarget; });
}

Batch make_batch(std::span<Sequence const> sequences) {
  return make_batch(std::vector<SequenceView>(sequences.begin(), sequences.end()));
}

Batch make_batch(std::span<SequenceView const> sequences) {
  require_fits(sequences);
  Batch batch;
  batch.starts.push_back(0);
  batch.loss_starts.push_back(0);
  for (SequenceView const& sequence : sequences) {
    for (std::size_t i = 0; i < sequence.tokens.size(); ++i) {
      if (sequence.targets[i] != kNoTarget) {
        batch.loss_rows.push_back(as_index(batch.tokens.size()));
        batch.targets.push_back(sequence.targets[i]);
        batch.loss_positions.push_back(as_index(i));
      }
      batch.tokens.push_back(sequence.tokens[i]);
      batch.positions.push_back(as_index(i));
    }
    batch.longest = std::max(batch.longest, static_cast<std::int64_t>(sequence.tokens.size()));
    batch.loss_longest =
        std::max(batch.loss_longest, batch.loss_count() - std::int64_t{batch.loss_starts.back()});
    batch.starts.push_back(as_index(batch.tokens.size()));
    batch.loss_starts.push_back(as_index(batch.loss_rows.size()));
  }
  group_ids(batch);
  return batch;
}

}  // namespace lomo

#include <vector>

#include "lomo/core/error.h"
#include "lomo/data/batch.h"
#include "support/catch.h"

using namespace lomo;
using Ids = std::vector<std::int32_t>;

TEST_CASE("make_sequence shifts by one and masks what comes before the loss") {
  const Ids ids = {1, 10, 11, 12, 2};
  const Sequence s = make_sequence(ids, 3);
  CHECK(s.tokens == Ids{1, 10, 11, 12});
  CHECK(s.targets == Ids{kNoTarget, kNoTarget, 12, 2});
  CHECK(make_sequence(ids, 0).targets == Ids{10, 11, 12, 2});
  CHECK(make_sequence(ids, 1).targets == Ids{10, 11, 12, 2});
  CHECK(make_sequence(ids, 9).targets == Ids(4, kNoTarget));
  CHECK(make_sequence(Ids{7}, 0).tokens.empty());
  CHECK(make_sequence(Ids{}, 0).tokens.empty());
}

TEST_CASE("make_batch lays sequences end to end with every list of the engine") {
  const std::vector<Sequence> sequences = {
      make_sequence(Ids{1, 5, 6, 2}, 2), {}, make_sequence(Ids{1, 6, 5, 5, 2}, 4)};
  const Batch b = make_batch(sequences);
  CHECK(b.tokens == Ids{1, 5, 6, 1, 6, 5, 5});
  CHECK(b.positions == Ids{0, 1, 2, 0, 1, 2, 3});
  CHECK(b.starts == Ids{0, 3, 3, 7});
  CHECK(b.longest == 4);
  CHECK(b.loss_rows == Ids{1, 2, 6});
  CHECK(b.targets == Ids{6, 2, 2});
  CHECK(b.loss_starts == Ids{0, 2, 2, 3});
  CHECK(b.loss_positions == Ids{1, 2, 3});
  CHECK(b.loss_longest == 2);
  CHECK(b.unique_ids == Ids{1, 5, 6});
  CHECK(b.id_order == Ids{0, 3, 1, 5, 6, 2, 4});
  CHECK(b.id_segments == Ids{0, 2, 5, 7});
  CHECK(b.rows() == 7);
  CHECK(b.loss_count() == 3);
  CHECK(b.sequences() == 3);
}

TEST_CASE("A batch without targets, without tokens or without sequences is legal") {
  const Batch masked = make_batch(std::vector{make_sequence(Ids{1, 2, 3}, 9)});
  CHECK(masked.loss_count() == 0);
  CHECK(masked.loss_starts == Ids{0, 0});
  CHECK(masked.loss_longest == 0);
  CHECK(masked.rows() == 2);
  const Batch hollow = make_batch(std::vector<Sequence>(2));
  CHECK(hollow.starts == Ids{0, 0, 0});
  CHECK(hollow.id_segments == Ids{0});
  const Batch nothing = make_batch(std::vector<Sequence>{});
  CHECK(nothing.sequences() == 0);
  CHECK(nothing.starts == Ids{0});
  CHECK(nothing.loss_starts == Ids{0});
  CHECK(nothing.id_segments == Ids{0});
}

TEST_CASE("Tokens and targets that do not pair up are refused") {
  CHECK_THROWS_AS(make_batch(std::vector{Sequence{{1, 2}, {2}}}), Error);
}

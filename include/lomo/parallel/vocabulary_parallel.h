#pragma once
#include <cstdint>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/parallel/parameter.h"
#include "lomo/parallel/sharded_batch.h"
#include "lomo/parallel/vocabulary.h"

namespace lomo {

/// What the embedding of a batch reads; all lists i32 in engine memory.
struct EmbeddingLookup {
  Tensor tokens;  // (N)
  // ---- of several ranks
  RankIds const& ids;
  Tensor token_rows;      // (N) where each token's id stands among the distinct ids of the batch
  Tensor asked;           // asked_rows() of tiles of `tile` rows; may be longer
  std::int64_t tile = 0;  // rows of the vocabulary that each rank gives out at once
};

/// Vocabulary parallelism (Shoeybi et al. 2019, arXiv 1909.08053, section 3): each rank owns rows
/// of the embedding and of the LM head. Rows of the embedding go to the ranks that ask for them;
/// the rows of all batches go through the head of every rank, whose weights stay where they are. In
/// a group of one nothing is sent and nothing copied.
class VocabularyParallel {
 public:
  VocabularyParallel(Backend& backend, Communicator& ranks) : backend_(backend), ranks_(ranks) {}

  /// x (N,C): the rows of the tokens.
  Buffer embed(Parameter const& embedding, EmbeddingLookup const& lookup);

  /// `mine` (N',C) of every rank in the order of the head's rows: (A,C).
  Buffer gather(Buffer mine, LossRows const& rows);
  /// d (N',C) gets, of a chunk, this rank's rows of the sum over ranks of `part` (n,C) f32: what
  /// the vocabulary of each has to say of all rows. It is rounded to `comm_dtype` before it is
  /// sent.
  void reduce(Tensor d, Tensor part, LossRows::Chunk const& chunk, DType comm_dtype);
  /// running (A,3) of the vocabulary owned here becomes that of all of it; see
  /// Backend::cross_entropy_merge.
  void merge_softmax(Tensor running);
  /// logits (1,V) f32 of this rank's row (1,C), each rank having one: `own` are the rows of the
  /// head that lie here.
  void row_logits(Tensor logits, Tensor row, Tensor own);

 private:
  bool alone() const { return ranks_.size() == 1; }
  Buffer fetch_rows(Parameter const& embedding, EmbeddingLookup const& lookup);

  Backend& backend_;
  Communicator& ranks_;
};

}  // namespace lomo

#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/parallel/ownership.h"

namespace lomo {

/// One Hugging Face tensor: the unit of ownership, random numbers, optimizer statistics and saving.
/// A rank holds a row block of every matrix and the whole of every vector.
struct Parameter {
  std::string name;  // as in the checkpoint, "model.layers.0.self_attn.q_proj.weight"
  Shape whole;       // (O,I) or (C)
  RowRange owned;    // rows of `whole` that lie here
  Tensor value;      // (owned,I) or (C), a row block of its group's memory
  /// `value`; a vector is seen as a matrix of one row.
  Tensor matrix() const { return sharded() ? value : value.reshaped(Shape(1, value.numel())); }
  Shape whole_matrix() const { return sharded() ? whole : Shape(1, whole.rows()); }
  /// Whether each rank owns other rows; else all own the same.
  bool sharded() const { return whole.rank() == 2; }
  /// Where the first element of `value` stands in the whole tensor.
  std::int64_t first_element() const { return owned.first * whole.cols(); }
};

/// Parameters that lie side by side in memory because one GEMM serves them: q/k/v and gate/up read
/// the same input. Everything else is a group of one. Owns the memory of the rows at `info`.
class ParameterGroup {
 public:
  struct Spec {
    std::string name;
    std::int64_t rows = 0;  // O
  };
  /// Matrices (rows, inputs) stacked by rows.
  ParameterGroup(Backend& backend, DType dtype, std::vector<Spec> const& members,
                 std::int64_t inputs, RankInfo info = {});
  /// A vector (n): the weight of a norm.
  ParameterGroup(Backend& backend, DType dtype, std::string name, std::int64_t n);

  /// The members' values one below the other: (sum of owned, I), or (C).
  Tensor stacked() const { return memory_.tensor(); }
  std::vector<Parameter>& members() { return members_; }
  std::vector<Parameter> const& members() const { return members_; }
  /// The only member of a group of one.
  Parameter& single() { return members_.front(); }
  Parameter const& single() const { return members_.front(); }

 private:
  Buffer memory_;
  std::vector<Parameter> members_;
};

}  // namespace lomo

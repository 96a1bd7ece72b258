#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <limits>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"
#include "lomo/parallel/parameter.h"

namespace lomo {

/// Members of a group that one product serves: all of them, or `count` from `first` on.
struct Stack {
  Stack(ParameterGroup const& group, std::size_t first = 0,
        std::size_t count = std::numeric_limits<std::size_t>::max());
  ParameterGroup const* group;
  std::size_t first;
  std::size_t count;
  Parameter const& member(std::size_t i) const { return group->members()[first + i]; }
  std::int64_t rows() const;  // sum of O
};

/// Products with whole matrices of which each rank holds some rows. A matrix is gathered for the
/// time of its product into one of two slots (Category::communication), the next one beside it on
/// the communication stream. With one rank it is the weight itself, and there are no slots.
///
/// Matrices are prefetched in the order announced: the next one is gathered while this one
/// computes, and none that is still in a slot is gathered again. All ranks make the same calls.
class WeightGatherer {
 public:
  /// `largest`: elements of the largest matrix that will be asked for.
  WeightGatherer(Backend& backend, Communicator& ranks, DType dtype, std::int64_t largest);

  Backend& backend() const { return backend_; }

  /// The matrices that come next, in this order; replaces what was announced before. A matrix that
  /// is announced must not change before its product, or the next announcement.
  void prefetch(std::vector<Parameter const*> const& order);
  /// Weights have changed: what the slots hold is stale.
  void invalidate();

  /// y (N, sum of O) = x (N,I) w^T [+ residual].   As Backend::linear, w being the whole matrices
  /// one below the other. Fetches them from the first to the last.
  void linear(Tensor y, Tensor x, Stack w, Tensor residual = {});
  /// dx (N,I) = dy (N, sum of O) w, or adds to dx.   As Backend::linear_backward_input. Fetches the
  /// matrices from the last to the first; each after the first adds to dx in its type.
  void linear_backward_input(Tensor dx, Tensor dy, Stack w, bool accumulate = false);

 private:
  struct Slot {
    Buffer memory;
    Parameter const* holds = nullptr;
    Communicator::Fence fence = 0;
  };
  bool alone() const { return ranks_.size() == 1; }
  Tensor gathered(Parameter const& parameter);
  void fetch(Slot& slot, Parameter const& parameter);
  void fetch_next();
  Slot* slot_of(Parameter const& parameter);

  Backend& backend_;
  Communicator& ranks_;
  std::array<Slot, 2> slots_;
  Slot* current_ = nullptr;  // what the product issued last reads
  std::deque<Parameter const*> to_prefetch_;
};

}  // namespace lomo

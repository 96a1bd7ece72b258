#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "lomo/backend/backend.h"
#include "lomo/backend/communicator.h"

namespace lomo {

/// How gradients reach the ranks that own them.
struct GradientComm {
  Communicator& ranks;
  DType comm_dtype = DType::bf16;  // partial gradients are rounded to it once, before they are sent
};

/// Partial gradients on their way to the ranks that own the rows, a reduce-scatter whose sums are
/// taken by who receives: an all-to-all for each of a series of tiles, two of them under way. Tile
/// i lies where tile i - 2 lay.
class GradientReducer {
 public:
  /// Tiles of `cols` columns, of which this rank sends at most `sent` rows and receives at most
  /// `received`; no more than `tiles` of them.
  GradientReducer(Backend& backend, GradientComm comm, std::int64_t cols, std::int64_t sent,
                  std::int64_t received, std::size_t tiles);

  /// Where the rows of tile i are written that are sent, those for rank 0 first: (sent,cols)
  /// comm_dtype. The compute stream waits until what lay there has left.
  Tensor to_send(std::size_t i);
  /// Sends to[q] rows to each rank q and receives from[q] of it, behind what was issued so far.
  void send(std::size_t i, std::span<std::int64_t const> from, std::span<std::int64_t const> to);
  /// What came, that of rank 0 first: (sum of from,cols) comm_dtype. The stream that is issued to
  /// waits for it.
  Tensor receive(std::size_t i);

 private:
  struct Flight {
    Buffer sent, received;
    std::int64_t incoming = 0;  // rows
    Communicator::Fence fence = 0;
  };
  Backend& backend_;
  Communicator& ranks_;
  std::array<Flight, 2> flights_;
};

}  // namespace lomo

#include "lomo/parallel/gradient_reducer.h"

#include <algorithm>
#include <numeric>

namespace lomo {

GradientReducer::GradientReducer(Backend& backend, GradientComm comm, std::int64_t cols,
                                 std::int64_t sent, std::int64_t received, std::size_t tiles)
    : backend_(backend), ranks_(comm.ranks) {
  const auto buffer = [&](std::int64_t rows, char const* what) {
    return backend.allocate(Shape(rows, cols), comm.comm_dtype, Category::communication, what);
  };
  for (std::size_t i = 0; i < std::min(tiles, flights_.size()); ++i) {
    flights_[i].sent = buffer(sent, "gradient tiles sent");
    flights_[i].received = buffer(received, "gradient tiles received");
  }
}

Tensor GradientReducer::to_send(std::size_t i) {
  Flight const& flight = flights_[i % flights_.size()];
  if (flight.fence != 0) ranks_.wait(flight.fence);
  return flight.sent;
}

void GradientReducer::send(std::size_t i, std::span<std::int64_t const> from,
                           std::span<std::int64_t const> to) {
  Flight& flight = flights_[i % flights_.size()];
  const auto total = [](std::span<std::int64_t const> rows) {
    return std::accumulate(rows.begin(), rows.end(), std::int64_t{0});
  };
  flight.incoming = total(from);
  backend_.on_side_stream([&] {
    flight.fence = ranks_.all_to_all(flight.received.tensor().row_block(0, flight.incoming),
                                     flight.sent.tensor().row_block(0, total(to)), from, to);
  });
}

Tensor GradientReducer::receive(std::size_t i) {
  Flight const& flight = flights_[i % flights_.size()];
  ranks_.wait(flight.fence);
  return flight.received.tensor().row_block(0, flight.incoming);
}

}  // namespace lomo

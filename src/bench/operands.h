#pragma once
#include <cstddef>
#include <deque>
#include <functional>
#include <span>
#include <vector>

#include "lomo/backend/backend.h"

namespace lomo::bench {

/// Makes the operands of operations and owns them until it is emptied.
class Operands {
 public:
  explicit Operands(Backend& backend) : backend_(backend) {}

  /// Numbers spread over [-1, 1], the same every time.
  Tensor numbers(Shape shape, DType type);
  Tensor zeros(Shape shape, DType type);
  Tensor integers(std::int64_t n, std::function<std::int64_t(std::int64_t)> const& value);
  std::span<std::byte> host_bytes(std::size_t n);
  void clear() {
    held_.clear();
    host_.clear();
  }

 private:
  Tensor hold(Shape shape, DType type);
  Backend& backend_;
  std::deque<Buffer> held_;
  std::deque<std::vector<std::byte>> host_;
};

}  // namespace lomo::bench

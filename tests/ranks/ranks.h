#pragma once
#include <cstdint>
#include <memory>

#include "lomo/backend/process_group.h"

/// The ranks of this test program. Every rank runs the same test cases in the same order.
namespace lomo::test {

inline ProcessGroup& ranks() {
  static const std::unique_ptr<ProcessGroup> all =
      started_as_rank() ? make_mpi_process_group() : make_single_rank();
  return *all;
}

/// A number that every rank computes alike, from 0 to n - 1.
inline std::int64_t drawn(std::int64_t n, std::int64_t a, std::int64_t b, std::int64_t c = 0) {
  return (a * 7919 + b * 104729 + c * 1299709 + 13) % n;
}

}  // namespace lomo::test

#pragma once
#include <cstdint>
#include <functional>
#include <vector>

#include "bench.h"
#include "operands.h"

namespace lomo::bench {

/// Whose gradients the cases of ranks bring together.
inline constexpr std::int64_t kRanks = 4;

/// A case and how to make its operands, which is put off until its turn.
struct Recipe {
  std::string name, what;
  std::function<std::function<void()>(Backend&, Operands&)> make;
};

// Every operation of the contract, in its order there.
void add_memory_cases(std::vector<Recipe>& all, Extents const& e);
void add_linear_cases(std::vector<Recipe>& all, Extents const& e);
void add_row_cases(std::vector<Recipe>& all, Extents const& e);
void add_block_cases(std::vector<Recipe>& all, Extents const& e);
void add_head_cases(std::vector<Recipe>& all, Extents const& e);
void add_rank_cases(std::vector<Recipe>& all, Extents const& e);
void add_update_cases(std::vector<Recipe>& all, Extents const& e);

}  // namespace lomo::bench

#include "lomo/parallel/parameter.h"

#include <string>
#include <utility>

namespace lomo {

namespace {

std::int64_t total_rows(std::vector<ParameterGroup::Spec> const& members, RankInfo info) {
  std::int64_t rows = 0;
  for (auto const& member : members) rows += owned_rows(member.rows, info.rank, info.ranks).count;
  return rows;
}

/// "model.layers.0.mlp.gate_proj.weight, up_proj.weight": all that lies in one block of memory.
std::string name_of(std::vector<ParameterGroup::Spec> const& members) {
  std::string name = members.front().name;
  for (std::size_t m = 1; m < members.size(); ++m) {
    std::string const& whole = members[m].name;
    name += ", " + whole.substr(whole.rfind('.', whole.rfind('.') - 1) + 1);
  }
  return name;
}

}  // namespace

ParameterGroup::ParameterGroup(Backend& backend, DType dtype, std::vector<Spec> const& members,
                               std::int64_t inputs, RankInfo info)
    : memory_(backend.allocate(Shape(total_rows(members, info), inputs), dtype, Category::weights,
                               name_of(members))) {
  std::int64_t first = 0;
  for (auto const& member : members) {
    const RowRange owned = owned_rows(member.rows, info.rank, info.ranks);
    members_.push_back(
        {member.name, Shape(member.rows, inputs), owned, stacked().row_block(first, owned.count)});
    first += owned.count;
  }
}

ParameterGroup::ParameterGroup(Backend& backend, DType dtype, std::string name, std::int64_t n)
    : memory_(backend.allocate(Shape(n), dtype, Category::weights, name)) {
  members_.push_back({std::move(name), Shape(n), {0, n}, stacked()});
}

}  // namespace lomo

#include "lomo/dist/parameter.h"

#include <utility>

namespace lomo {

namespace {

std::int64_t total_rows(std::vector<ParameterGroup::Spec> const& members) {
  std::int64_t rows = 0;
  for (auto const& member : members) rows += member.rows;
  return rows;
}

}  // namespace

ParameterGroup::ParameterGroup(Backend& backend, DType dtype, std::vector<Spec> const& members,
                               std::int64_t inputs)
    : memory_(backend.allocate(Shape(total_rows(members), inputs), dtype, Category::weights,
                               members.front().name)) {
  std::int64_t first = 0;
  for (auto const& member : members) {
    members_.push_back({member.name, stacked().row_block(first, member.rows)});
    first += member.rows;
  }
}

ParameterGroup::ParameterGroup(Backend& backend, DType dtype, std::string name, std::int64_t n)
    : memory_(backend.allocate(Shape(n), dtype, Category::weights, name)) {
  members_.push_back({std::move(name), stacked()});
}

}  // namespace lomo

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "lomo/model/checkpoint.h"
#include "support/catch.h"
#include "tiny.h"

// What each rank holds of the weights.
namespace lomo::test {

namespace {

using Values = std::map<std::string, std::vector<float>>;

Values values_at(RankInfo place, ModelConfig const& config) {
  const auto backend = make_cpu(1);
  DecoderWeights weights(*backend, config, DType::f32, place);
  initialise_weights(*backend, weights, config, 7);
  Values values;
  for (ParameterGroup const* group : weights.groups()) {
    for (Parameter const& p : group->members()) {
      values[p.name] = raw_values<float>(*backend, p.value);
      CHECK(p.value.rows() == p.owned.count);
    }
  }
  return values;
}

}  // namespace

TEST_CASE("the rows of all ranks, one below the other, are the whole weights") {
  const ModelConfig config = tiny_config(false);  // 101 rows in the vocabulary, 20 in k and v
  const Values whole = values_at({}, config);
  for (const int ranks : {2, 3, 8, 40}) {  // with 40, most have no row of k and v
    Values joined;
    for (int rank = 0; rank < ranks; ++rank) {
      for (auto const& [name, values] : values_at({rank, ranks}, config)) {
        if (name.find("norm") != std::string::npos) {
          CHECK(values == whole.at(name));  // vectors are whole everywhere
          joined[name] = values;
        } else {
          joined[name].insert(joined[name].end(), values.begin(), values.end());
        }
      }
    }
    CHECK(joined == whole);
  }
}

}  // namespace lomo::test

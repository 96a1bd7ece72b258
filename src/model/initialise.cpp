#include <array>
#include <cmath>
#include <cstring>
#include <numbers>
#include <vector>

#include "host_blocks.h"
#include "lomo/core/activity.h"
#include "lomo/core/random.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/name_map.h"

namespace lomo {
namespace {

/// Four standard normals (Box-Muller) of the elements 4 index .. 4 index + 3.
std::array<double, 4> normals(RandomKey key, std::uint64_t index) {
  const auto words = philox(key, index);
  std::array<double, 4> out{};
  for (std::size_t pair = 0; pair < 4; pair += 2) {
    const double radius = std::sqrt(-2.0 * std::log((words[pair] + 0.5) * 0x1p-32));
    const double angle = 2.0 * std::numbers::pi * (words[pair + 1] * 0x1p-32);
    out[pair] = radius * std::cos(angle);
    out[pair + 1] = radius * std::sin(angle);
  }
  return out;
}

template <class T>
void fill(std::vector<std::byte>& bytes, RandomKey key, std::uint64_t first, double deviation) {
  std::array<double, 4> four{};
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    const std::uint64_t element = first + i;
    if (i == 0 || element % 4 == 0) four = normals(key, element / 4);
    const T value = round_to<T>(static_cast<float>(deviation * four[element % 4]));
    std::memcpy(bytes.data() + i * sizeof(T), &value, sizeof(T));
  }
}

template <class T>
void fill_with(std::vector<std::byte>& bytes, float value) {
  const T rounded = round_to<T>(value);
  for (std::size_t i = 0; i < bytes.size() / sizeof(T); ++i) {
    std::memcpy(bytes.data() + i * sizeof(T), &rounded, sizeof(T));
  }
}

}  // namespace

void initialise_weights(Backend& backend, DecoderWeights& weights, ModelConfig const& config,
                        std::uint64_t seed) {
  std::vector<std::byte> host;
  Activity activity("drawing weights", static_cast<double>(config.parameters()));
  for (ParameterGroup const* group : weights.groups()) {
    for (Parameter const& parameter : group->members()) {
      const RandomKey key = random_key(seed, "init", parameter.name, 0);
      for_each_host_block(parameter.value, [&](Tensor block, std::int64_t first) {
        host.resize(block.bytes());
        with_storage_type(block.dtype(), [&](auto type) {
          using T = decltype(type);
          if (parameter.sharded()) {
            const std::int64_t element = parameter.first_element() + first;
            fill<T>(host, key, static_cast<std::uint64_t>(element), config.init_range);
          } else {
            fill_with<T>(host, NameMap::is_bias(parameter.name) ? 0.0f : 1.0f);
          }
        });
        backend.upload(block, host);
        activity.advance(static_cast<double>(block.numel()));
      });
    }
  }
}

}  // namespace lomo

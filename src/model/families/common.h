#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/io/json.h"
#include "lomo/model/config.h"

/// What the readers of families share: each reads its config.json with these and its own keys.
namespace lomo::reading {

/// What an absent key means, where transformers' classes differ.
struct Defaults {
  bool needs_kv_heads = false;  // absent means one particular model's number to transformers
  float norm_eps = 1e-6f;
  double rope_theta = 10000;
  bool tied = false;
  std::int64_t head_width = 0;  // 0: width / heads
  bool partial_rotary = false;  // a part of each head may turn
};

/// Sizes, norm, tied embeddings, range of initial weights, rotary embedding. From here on a key
/// whose value is null counts as absent.
void read_common(JsonReader& reader, ModelConfig& config, Defaults const& defaults);

/// `sliding_window` and `layer_types`. Where the latter is absent, `windowed` (L) says which layers
/// have a window; empty: all. `on`: whether there are windows at all.
void read_windows(JsonReader& reader, ModelConfig& config, bool on, std::int64_t default_window,
                  std::vector<bool> windowed = {});

/// Refuses the key unless it is absent or has the one value that leaves the computation alone.
void only(JsonReader& reader, std::string_view key, Json const& supported, std::string const& why);
/// Dropout, other activations, quantization, parts of other architectures.
void refuse_unsupported(JsonReader& reader);
/// Marks the keys that take no part in a forward pass as known.
void know_inert(JsonReader& reader);

}  // namespace lomo::reading

#include "lomo/model/config.h"

#include <cmath>
#include <numbers>

#include "support/catch.h"

using namespace lomo;

namespace {

ModelConfig llama(std::int64_t width, std::int64_t layers, std::int64_t heads,
                  std::int64_t kv_heads, std::int64_t ffn, std::int64_t vocab) {
  ModelConfig config;
  config.width = width;
  config.layers = layers;
  config.heads = heads;
  config.kv_heads = kv_heads;
  config.head_width = width / heads;
  config.ffn = ffn;
  config.vocab = vocab;
  return config;
}

}  // namespace

TEST_CASE("parameters of the published models") {
  CHECK(llama(4096, 32, 32, 32, 11008, 32000).parameters() == 6738415616);
  CHECK(llama(5120, 40, 40, 40, 13824, 32000).parameters() == 13015864320);
  CHECK(llama(8192, 80, 64, 64, 22016, 32000).parameters() == 65285660672);
  CHECK(llama(2048, 22, 32, 4, 5632, 32000).parameters() == 1100048384);    // TinyLlama
  CHECK(llama(4096, 32, 32, 8, 14336, 128256).parameters() == 8030261248);  // Llama 3 8B
  CHECK(llama(4096, 32, 32, 8, 14336, 32000).parameters() == 7241732096);   // Mistral 7B
  ModelConfig tied = llama(2048, 16, 32, 8, 8192, 128256);
  tied.tied_embeddings = true;
  CHECK(tied.parameters() == 1235814400);  // Llama 3.2 1B
}

TEST_CASE("rotary frequencies are powers of theta, linear scaling slows all alike") {
  ModelConfig config = llama(64, 1, 8, 8, 1, 1);
  config.rope_theta = 16;
  CHECK(rope_frequencies(config) == std::vector<float>{1.0f, 0.5f, 0.25f, 0.125f});
  config.rope_scaling.kind = RopeScaling::Kind::linear;
  config.rope_scaling.factor = 4;
  CHECK(rope_frequencies(config) == std::vector<float>{0.25f, 0.125f, 0.0625f, 0.03125f});
}

TEST_CASE("llama3 scaling keeps short waves, divides long ones and blends between") {
  ModelConfig config = llama(4096, 1, 32, 8, 1, 1);
  config.rope_theta = 500000;
  const auto plain = rope_frequencies(config);
  config.rope_scaling = {RopeScaling::Kind::llama3, 8, 1, 4, 8192};
  const auto scaled = rope_frequencies(config);
  REQUIRE(scaled.size() == 64);
  int kept = 0, blended = 0, slowed = 0;
  for (std::size_t i = 0; i < scaled.size(); ++i) {
    const double wave = 2 * std::numbers::pi / plain[i];
    INFO("pair " << i);
    if (wave < 8192.0 / 4) {
      CHECK(scaled[i] == plain[i]);
      ++kept;
    } else if (wave > 8192.0 / 1) {
      CHECK(scaled[i] == plain[i] / 8);
      ++slowed;
    } else {
      // The published form: (1 - s) f / factor + s f with s = (context / wave - low) / (high -
      // low).
      const double s = (8192.0 / wave - 1) / (4 - 1);
      // A few roundings of float32 on either side.
      CHECK(scaled[i] == Approx((1 - s) * plain[i] / 8 + s * plain[i]).epsilon(4 * 0x1p-23));
      ++blended;
    }
  }
  CHECK(kept == 29);
  CHECK(blended == 6);
  CHECK(slowed == 29);
}

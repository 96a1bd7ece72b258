// The logits of a model after each token of a text, computed in f32 on the CPU, for comparison with
// other programs: scripts/experiments/compare_transformers.py.
//   print_logits model-folder output-file id...
// The output is N x V f32 numbers, a row a token.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

#include "lomo/backend/backend.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/config_json.h"
#include "lomo/model/decoder.h"

using namespace lomo;

int main(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("print_logits model-folder output-file id...\n", stderr);
    return 2;
  }
  const std::string folder = argv[1];
  const ModelConfig config = read_model_config(folder + "/config.json");
  const auto backend = make_cpu_backend({});
  Decoder model(*backend, config, DType::f32);
  load_weights(*backend, model.weights(), folder);
  KeyValueCache cache = model.make_cache(argc - 3);
  std::ofstream out(argv[2], std::ios::binary);
  for (int i = 3; i < argc; ++i) {
    const std::vector<float> logits = model.extend(cache, {std::atoi(argv[i])});
    out.write(reinterpret_cast<char const*>(logits.data()),
              static_cast<std::streamsize>(logits.size() * sizeof(float)));
  }
  return out.flush() ? 0 : 1;
}

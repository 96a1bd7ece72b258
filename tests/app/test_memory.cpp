#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "support/data.h"
#include "training.h"

using namespace lomo::test;

namespace {

constexpr double kMib = 1 << 20;

/// What a process has besides engine memory and the pieces in which weights pass through the host:
/// its heap, its stacks, the machine code that oneDNN writes. Measured: 2 to 3 MiB.
constexpr double kOwn = 8 * kMib;
/// oneDNN's kernels for machines without AVX-512 copy operands to the heap too, a thread at most as
/// much as workspace::kLibraryBytes. Measured: 3 to 4 MiB a thread.
constexpr double kCopiesOfThread = 4 * kMib;

/// Anonymous resident bytes of a process; mapped files do not count.
double anonymous_bytes(Process const& process) {
  std::ifstream status("/proc/" + std::to_string(process.id()) + "/status");
  for (std::string word; status >> word;) {
    double kib = 0;
    if (word == "RssAnon:" && status >> kib) return 1024 * kib;
  }
  return 0;
}

/// A model of 48 MiB, so that a second copy of anything large would show.
void make_larger_model_and_data(Workplace const& place) {
  std::ofstream(place / "shape.json") << R"({"architectures": ["LlamaForCausalLM"],
    "model_type": "llama", "hidden_size": 512, "num_hidden_layers": 4, "num_attention_heads": 4,
    "intermediate_size": 1024, "vocab_size": 2000, "rms_norm_eps": 1e-6,
    "torch_dtype": "float32"})";
  const ProcessResult made =
      run(place, {"init", "--config", place / "shape.json", "--output", place / "model"});
  INFO(made.err);
  REQUIRE(made.code == 0);
  std::ofstream data(place / "ids.jsonl");
  for (int i = 0; i < 40; ++i) {
    data << "{\"ids\": [1";
    for (int j = 0; j < 40; ++j) data << ", " << 3 + (i * 37 + j * 11) % 1900;
    data << "]}\n";
  }
}

}  // namespace

TEST_CASE("the memory of a process that loads, trains, evaluates and saves is what was planned") {
#ifdef __SANITIZE_ADDRESS__
  LOMO_SKIP("the address sanitizer's own memory is as large");
#endif
  const Workplace place;
  make_larger_model_and_data(place);
  write_config(place, kLomo, R"(, "save": {"every_steps": 4})");
  for (char const* threads : {"1", "2"}) {
    const std::vector<std::string> same{"--config", place / "run.json", "--threads", threads,
                                        "--set",    "train.epochs=1"};
    std::vector<std::string> plan{"plan", "--json"}, train{"--output", place / threads};
    plan.insert(plan.end(), same.begin(), same.end());
    train.insert(train.end(), same.begin(), same.end());
    const ProcessResult planned = run(place, plan);
    INFO(planned.err);
    REQUIRE(planned.code == 0);
    const auto json = nlohmann::json::parse(planned.out);
    const double peak = json["peak"]["bytes"], reserved = json["reserved_bytes"],
                 transfer = json["host_transfer_bytes"],
                 scratch = json["peak"]["categories"]["workspace"];

    const Process process(place, train);
    double maximum = 0;
    wait_until(process, [&] {
      maximum = std::max(maximum, anonymous_bytes(process));
      return false;
    });
    const ProcessResult result = process.wait();
    INFO(result.err);
    REQUIRE(result.code == 0);
    std::printf("%s threads: RssAnon %.2f MiB, planned peak %.2f, reserved %.2f\n", threads,
                maximum / kMib, peak / kMib, reserved / kMib);
    const double copies =
        contains(result.err, "(avx512") ? 0 : std::stoi(threads) * kCopiesOfThread;
    CHECK(maximum <= reserved + transfer + kOwn + copies);
    CHECK(maximum >= peak - scratch);  // of which a library may leave some untouched
  }
}

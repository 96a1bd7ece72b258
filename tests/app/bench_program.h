#pragma once
#include <regex>
#include <set>
#include <string>
#include <vector>

#include "program.h"
#include "support/source_dir.h"

/// Running lomo-bench from tests.
namespace lomo::test {

/// At small shapes, once each.
inline ProcessResult bench(std::vector<std::string> const& arguments) {
  const Workplace place;
  std::vector<std::string> all{"--config", "llama7b.json", "--threads", "1"};
  for (char const* setting : {"hidden_size=64", "num_hidden_layers=2", "num_attention_heads=4",
                              "num_key_value_heads=2", "intermediate_size=96", "vocab_size=100"}) {
    all.push_back("--set");
    all.push_back(std::string("model.shape.") + setting);
  }
  for (char const* option : {"--tokens=90", "--sequence=40", "--targets=20", "--tile=16"}) {
    all.emplace_back(option);
  }
  all.emplace_back("--repetitions=1");
  all.insert(all.end(), arguments.begin(), arguments.end());
  return Process(place, LOMO_BENCH_PROGRAM, all).wait();
}

/// Names of the operations that backend.h declares: what engines do with tensors.
inline std::set<std::string> operations() {
  const std::string text = slurp(source_dir() / "include" / "lomo" / "backend" / "backend.h");
  const std::regex declaration("virtual void do_([a-z_]+)\\((Tensor|std::span)");
  std::set<std::string> names;
  for (std::sregex_iterator i(text.begin(), text.end(), declaration), end; i != end; ++i) {
    names.insert((*i)[1]);
  }
  return names;
}

/// It timed every operation and the step, and gave numbers.
inline void check_times_everything(ProcessResult const& all) {
  INFO(all.err);
  REQUIRE(all.code == 0);
  const std::set<std::string> names = operations();
  REQUIRE(names.size() > 30);
  for (std::string const& name : names) {
    INFO(name);
    CHECK_THAT(all.out, Catch::Contains("\n" + name + " "));
  }
  CHECK_THAT(all.out, Catch::Contains("\nstep: 2 layers, 90 tokens, 20 targets: "));
  CHECK(all.out.find("nan") == std::string::npos);
  CHECK(all.out.find("inf") == std::string::npos);
}

}  // namespace lomo::test

// What --device says when there is no GPU to compute on, one clear sentence each.
#include "app/program.h"
#include "hosted.h"

using namespace lomo::test;

namespace {

ProcessResult start(Workplace const& place, std::string const& device) {
  return run(place, {"init", "--config", place / "shape.json", "--output",
                     place / ("model-" + device), "--device", device, "--log-level", "debug"});
}

/// `cuda` is refused with this reason, `auto` says it and computes on the CPU.
void check_refused(std::string const& why) {
  const Workplace place;
  make_model_and_data(place);
  const ProcessResult refused = start(place, "cuda");
  INFO(refused.err);
  CHECK(refused.code == 2);
  CHECK(count_lines(refused.err, "error: --device cuda: ") == 1);
  CHECK(contains(refused.err, why));
  const ProcessResult fell_back = start(place, "auto");
  INFO(fell_back.err);
  CHECK(fell_back.code == 0);
  CHECK(contains(fell_back.err, "computing on the CPU: "));
  CHECK(contains(fell_back.err, why));
}

}  // namespace

TEST_CASE("without a driver, a new enough one, or a GPU that has what it takes") {
  struct Case {
    std::string variable, value, why;
  };
  const Case c = GENERATE(
      Case{"CUDA_HOST_DRIVER", "none", "no NVIDIA driver is installed on this machine"},
      Case{"CUDA_HOST_DRIVER", "old", "the NVIDIA driver is too old: it supports CUDA 11.4, this"},
      Case{"CUDA_HOST_DRIVER", "without-device", "there is no NVIDIA GPU in this machine"},
      Case{"CUDA_HOST_ARCH", "75",
           "emulated CUDA (tests), is of architecture sm_75; the engine "
           "needs sm_80"});
  const Environment environment = hosted({{c.variable, c.value}});
  check_refused(c.why);
}

TEST_CASE("with a plugin that is not there, is none, or was built from other sources") {
  struct Case {
    std::string plugin, why;
  };
  const Case c = GENERATE(
      Case{"/nowhere/liblomo_cuda.so", "built without the CUDA engine: there is no /nowhere/"},
      Case{"liblomo_cuda.so", "LOMO_CUDA_PLUGIN=liblomo_cuda.so: not an absolute path"},
      Case{LOMO_LIBRARY, "is not a CUDA engine"},
      Case{LOMO_CUDA_STRANGER, "was built from other sources: it is 0.0.0-another, this"});
  const Environment environment({{"LOMO_CUDA_PLUGIN", c.plugin}});
  check_refused(c.why);
}

// The engine that nvcc built, where there is one, finds the driver missing; else it is missing
// itself.
TEST_CASE("on a machine without a driver the program's own plugin says so") {
  if (std::filesystem::exists("/proc/driver/nvidia")) return;
  check_refused(LOMO_HAVE_CUDA_ENGINE ? "no NVIDIA driver is installed on this machine"
                                      : "was built without the CUDA engine");
}

TEST_CASE("a plan for a GPU needs none, but a word on how much memory it has") {
  const Workplace place;
  make_model_and_data(place);
  write_config(place, R"({"name": "lomo", "lr": 0.01})", "");
  const Environment environment = hosted({{"CUDA_HOST_DRIVER", "none"}});
  const std::vector<std::string> plan{"plan", "--config", place / "run.json", "--device", "cuda"};
  const ProcessResult unknown = run(place, plan);
  CHECK(unknown.code == 2);
  CHECK(contains(unknown.err, "no NVIDIA driver"));
  auto with_memory = plan;
  with_memory.insert(with_memory.end(), {"--memory", "24GiB"});
  const ProcessResult known = run(place, with_memory);
  INFO(known.err);
  CHECK(known.code == 0);
  CHECK(contains(known.out, "workspace"));
}

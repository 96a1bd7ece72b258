// lomo-bench --device cuda, on the emulated GPU and, in tests/gpu, on a real one.
#include "app/bench_program.h"
#include "hosted.h"

using namespace lomo::test;

TEST_CASE("lomo-bench times every operation and the step on the GPU") {
  const Environment environment = hosted();
  const ProcessResult all = bench({"--device", "cuda"});
  check_times_everything(all);
  CHECK_THAT(all.out, Catch::StartsWith(kEngineName));
  CHECK_THAT(all.out, Catch::Contains("bf16: product of large matrices "));
}

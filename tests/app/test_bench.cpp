// lomo-bench at small shapes: every operation of the contract is timed, and the step.
#include "bench_program.h"

using namespace lomo::test;
using Catch::Contains;

TEST_CASE("app: lomo-bench times every operation and the step") {
  check_times_everything(bench({}));
}

TEST_CASE("app: lomo-bench times what it is asked for") {
  const ProcessResult some = bench({"ops", "--only", "rmsnorm"});
  REQUIRE(some.code == 0);
  CHECK_THAT(some.out, Contains("\nrmsnorm ") && Contains("\nrmsnorm_backward "));
  CHECK(some.out.find("swiglu") == std::string::npos);
  CHECK(some.out.find("step:") == std::string::npos);
  const ProcessResult none = bench({"ops", "--only", "softmax"});
  CHECK(none.code == 2);
  CHECK_THAT(none.err, Contains("--only softmax: no operation has that in its name"));
}

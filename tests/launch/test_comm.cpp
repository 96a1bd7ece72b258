// lomo-bench comm on ranks of processors.
#include "comm.h"
#include "support/environment.h"

using namespace lomo::test;

TEST_CASE("lomo-bench comm measures what ranks exchange, and one of them speaks") {
  const Workplace place;
  const ProcessResult result =
      Process(place, LOMO_MPIRUN,
              on_ranks(std::vector<Arguments>(2, small_comm()), LOMO_BENCH_PROGRAM))
          .wait();
  INFO(result.err);
  REQUIRE(result.code == 0);
  CHECK(count_lines(result.out,
                    "2 ranks on 1 machine; weights are sent as bf16, gradients as bf16") == 1);
  CHECK(count_lines(result.out, "GB/s\n") == 2);  // of the heading and of the last line
  check_comm_of_two(result.out);
}

TEST_CASE("scripts/mpirun.sh starts lomo-bench comm, which alone says how it is started") {
  const Workplace place;
  const Environment environment(Variables{{"LOMO_TRAIN", LOMO_TRAIN_PROGRAM}});
  Arguments arguments = small_comm();
  arguments.insert(arguments.begin(), "2");
  const ProcessResult result = Process(place, LOMO_MPIRUN_SCRIPT, arguments).wait();
  INFO(result.err);
  REQUIRE(result.code == 0);
  check_comm_of_two(result.out);
  const ProcessResult alone = Process(place, LOMO_BENCH_PROGRAM, small_comm()).wait();
  CHECK(alone.code == 2);
  CHECK(contains(alone.err, "scripts/mpirun.sh 2 comm"));
}

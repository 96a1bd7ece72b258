#include <string>

#include "engines.h"
#include "lomo/core/error.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("the CPU engine says what it is") {
  CHECK(engine(1)->describe().rfind("CPU, 1 thread, oneDNN ", 0) == 0);
  CHECK(engine(2)->describe().rfind("CPU, 2 threads, oneDNN ", 0) == 0);
  const auto any = make_cpu_backend({});  // all threads and memory there are
  CHECK(any->device() == Device::cpu);
  const Buffer b = any->allocate(Shape(1000), DType::f32, Category::weights, "w");
  any->zero(b);
  CHECK(values(*any, b) == std::vector<double>(1000, 0.0));
}

TEST_CASE("the engine holds no more than it was given") {
  const auto be = make_cpu_backend({1, std::size_t{1} << 20});
  const Buffer half = be->allocate(Shape(1 << 18), DType::bf16, Category::weights, "half");
  try {
    be->allocate(Shape(1 << 18), DType::f32, Category::workspace, "too much");
    FAIL("no error");
  } catch (Error const& error) {
    CHECK(error.code() == Exit::memory);
    CHECK(std::string(error.what()).find("too much") != std::string::npos);
  }
}

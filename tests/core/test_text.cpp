#include "lomo/core/text.h"

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <string>

#include "support/catch.h"

using namespace lomo;

TEST_CASE("one thing is one, and large counts have separators") {
  CHECK(counted(0, "step") == "0 steps");
  CHECK(counted(1, "step") == "1 step");
  CHECK(counted(2, "step") == "2 steps");
  CHECK(counted(1, "batch", "batches") == "1 batch");
  CHECK(counted(1000, "batch", "batches") == "1,000 batches");
  CHECK(human_count(999) == "999");
  CHECK(human_count(12345) == "12,345");
  CHECK(human_count(-1234567) == "-1,234,567");
  CHECK(human_count(-123) == "-123");
  CHECK(human_count(std::numeric_limits<std::int64_t>::min()) == "-9,223,372,036,854,775,808");
}

TEST_CASE("numbers are as people write them") {
  CHECK(human_number(81790) == "81,790");
  CHECK(human_number(8.179e6) == "8,179,000");
  CHECK(human_number(2.13456) == "2.135");
  CHECK(human_number(99.4) == "99.4");
  CHECK(human_number(100) == "100");
  CHECK(human_number(0.01234567) == "0.01235");
  CHECK(human_number(0.001) == "0.001");
  CHECK(human_number(1.2e-7) == "1.2e-07");
  CHECK(human_number(3.5e38) == "3.5e+38");
  CHECK(human_number(0) == "0");
  CHECK(human_number(-4.5) == "-4.5");
  CHECK(human_number(-std::nan("")) == "nan");
  CHECK(human_number(-std::numeric_limits<double>::infinity()) == "-inf");
  CHECK(human_number(9999.6) == "10,000");
}

TEST_CASE("shares are percentages that are nothing or everything only where they are") {
  CHECK(human_percent(0) == "0 %");
  CHECK(human_percent(1) == "100 %");
  CHECK(human_percent(0.27) == "27 %");
  CHECK(human_percent(0.034) == "3.4 %");
  CHECK(human_percent(1e-6) == "0.0001 %");
  CHECK(human_percent(0.9999) == "99.9 %");
  CHECK(human_percent(0.9953) == "99.5 %");
  CHECK(human_percent(1.02) == "102 %");
  CHECK(human_percent(std::nan("")) == "nan %");
}

TEST_CASE("sizes have a unit up to those of disks") {
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(1023) == "1,023 B");
  CHECK(human_bytes(1536) == "1.5 KiB");
  CHECK(human_bytes(std::size_t{3} << 40) == "3.0 TiB");
  CHECK(human_bytes(std::numeric_limits<std::size_t>::max()) == "16,384.0 PiB");
}

TEST_CASE("times are short, and never show sixty of a unit") {
  CHECK(human_duration(0.04) == "0.0 s");
  CHECK(human_duration(9.96) == "10 s");
  CHECK(human_duration(59.6) == "1 min 0 s");
  CHECK(human_duration(245) == "4 min 5 s");
  CHECK(human_duration(3600 + 119.9) == "1 h 2 min");
  CHECK(human_duration(100 * 3600.0) == "4 d 4 h");
  CHECK(human_duration(-1) == "0.0 s");
  CHECK(clock_time(0) == "0:00");
  CHECK(clock_time(59.7) == "1:00");
  CHECK(clock_time(3723) == "1:02:03");
  CHECK(clock_time(3599.6) == "1:00:00");
}

TEST_CASE("models have parameters of the unit they are known by") {
  CHECK(human_parameters(123) == "123");
  CHECK(human_parameters(260032) == "260 K");
  CHECK(human_parameters(1048576) == "1 M");
  CHECK(human_parameters(6738415616) == "6.7 B");
  CHECK(human_parameters(999990) == "1 M");
}

TEST_CASE("a shell takes a quoted path for one word") {
  CHECK(shell_quoted("runs/first") == "runs/first");
  CHECK(shell_quoted("my runs/it's") == R"('my runs/it'\''s')");
  CHECK(shell_quoted("") == "''");
  CHECK(shell_quoted("a$b") == "'a$b'");
  CHECK(shell_quoted(std::filesystem::path("a (1)/x")) == "'a (1)/x'");
}

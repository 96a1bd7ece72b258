#include "lomo/io/files.h"

#include <sys/resource.h>
#include <sys/stat.h>

#include <array>
#include <csignal>
#include <iterator>

#include "support/errors.h"
#include "support/files.h"

using namespace lomo;
using test::contains;
using test::error_of;
using test::slurp;

namespace {

auto entries(std::filesystem::path const& folder) {
  return std::distance(std::filesystem::directory_iterator(folder), {});
}

}  // namespace

TEST_CASE("an atomic file appears on commit and leaves nothing behind without it") {
  const test::TemporaryFolder folder;
  folder.put("a", "before");
  {
    AtomicFile file(folder / "a");
    file.write("after");
    CHECK(slurp(folder / "a") == "before");
  }
  CHECK(slurp(folder / "a") == "before");
  CHECK(entries(folder.path()) == 1);
  {
    AtomicFile file(folder / "a");
    file.write("af");
    file.write("ter");
    CHECK(file.written() == 5);
    file.commit();
  }
  CHECK(slurp(folder / "a") == "after");
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("write_file replaces a file in one step") {
  const test::TemporaryFolder folder;
  for (std::string const& text : {std::string("text"), std::string(9u << 20, 'x'), std::string()}) {
    write_file(folder / "a", text);
    CHECK(slurp(folder / "a") == text);
    CHECK(entries(folder.path()) == 1);
  }
}

TEST_CASE("disk errors name the path and the reason") {
  const test::TemporaryFolder folder;
  CHECK(contains(error_of(Exit::failure, [&] { write_file(folder / "no/a", "x"); }),
                 "no/a: No such file or directory"));
  CHECK(contains(error_of(Exit::data, [&] { read_file(folder / "none", Exit::data); }),
                 "none: No such file or directory"));
  std::filesystem::create_directory(folder / "dir");
  CHECK(contains(error_of(Exit::failure, [&] { write_file(folder / "dir", "x"); }), "dir: "));
  CHECK(entries(folder.path()) == 1);
}

TEST_CASE("a full disk is an error that says so") {
  const test::TemporaryFolder folder;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old = std::signal(SIGXFSZ, SIG_IGN);  // the write then fails with EFBIG
  const rlimit small{1 << 16, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
  const std::string message =
      error_of(Exit::failure, [&] { write_file(folder / "a", std::string(1 << 20, 'x')); });
  ::setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, old);
  CHECK(contains(message, "cannot write " + (folder / "a").string() + ": File too large"));
  CHECK(entries(folder.path()) == 0);
}

TEST_CASE("a file that shrank under us is an error, not a crash") {
  const test::TemporaryFolder folder;
  const auto path = folder.put("a", "0123456789");
  const InputFile file(path, Exit::data);
  CHECK(file.size() == 10);
  std::filesystem::resize_file(path, 4);
  std::array<std::byte, 8> into{};
  CHECK(contains(error_of(Exit::data, [&] { file.read(2, into); }), "ends at byte 4"));
}

TEST_CASE("a file is mapped whole, and what is no file is refused as when it is read") {
  const test::TemporaryFolder folder;
  const MappedFile mapped(folder.put("a", "0123456789"), Exit::data);
  CHECK(mapped.bytes().size() == 10);
  CHECK(mapped.bytes()[9] == std::byte{'9'});
  CHECK(MappedFile(folder.put("empty", ""), Exit::data).bytes().empty());
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_directory(folder / "dir");
  for (auto const& [name, reason] : {std::pair{"none", "none: No such file or directory"},
                                     {"dir", "dir: Is a directory"},
                                     {"pipe", "pipe: Invalid argument"}}) {
    const std::string message =
        error_of(Exit::data, [&] { MappedFile(folder / name, Exit::data); });
    CHECK(contains(message, reason));
    CHECK(message == error_of(Exit::data, [&] { InputFile(folder / name, Exit::data); }));
  }
}

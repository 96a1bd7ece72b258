#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <thread>

#include "data/support.h"
#include "lomo/data/data_cache.h"

using namespace lomo;
namespace fs = std::filesystem;

namespace {

void put(fs::path const& folder, std::size_t bytes) {
  test::write_file(folder / "x", std::string(bytes, 'x'));
}

}  // namespace

TEST_CASE("An entry is made once, and by one of many that want it") {
  const fs::path folder = test::scratch("cache_once");
  std::atomic<int> made = 0;
  std::vector<std::jthread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      DataCache cache(folder / "below");
      const fs::path entry = cache.entry("k", [&](fs::path const& place) {
        ++made;
        std::this_thread::sleep_for(std::chrono::milliseconds(100));
        put(place, 10);
      });
      if (!fs::exists(entry / "x")) made += 100;
    });
  }
  threads.clear();
  CHECK(made == 1);
  CHECK(DataCache(folder / "below").list().size() == 1);
}

TEST_CASE("What a process that was killed left unfinished is made anew") {
  const fs::path folder = test::scratch("cache_killed");
  const pid_t child = fork();
  if (child == 0) {
    DataCache(folder).entry("k", [](fs::path const& place) {
      put(place, 10);
      _exit(0);  // as if killed: nothing is cleaned up
    });
  }
  waitpid(child, nullptr, 0);
  CHECK(fs::exists(folder / ".partial-k" / "x"));
  DataCache cache(folder);
  CHECK(cache.list().empty());
  const fs::path entry = cache.entry("k", [](fs::path const& place) {
    CHECK(fs::is_empty(place));
    put(place, 20);
  });
  CHECK(fs::file_size(entry / "x") == 20);
  CHECK_FALSE(fs::exists(folder / ".partial-k"));
}

TEST_CASE("An entry that cannot be made is none, and the reason is passed on") {
  const fs::path folder = test::scratch("cache_failed");
  DataCache cache(folder);
  CHECK(test::refusal(Exit::data, [&] {
          cache.entry("k", [](fs::path const&) { throw Error(Exit::data, "no"); });
        }) == "no");
  CHECK(cache.list().empty());
  CHECK_FALSE(fs::exists(folder / ".partial-k"));
  test::write_file(folder / "file", "x");
  CHECK(test::has(test::refusal(Exit::usage, [&] { DataCache(folder / "file" / "below"); }),
                  "cache folder"));
}

TEST_CASE("Entries used longest ago make room, and all are cleared on request") {
  const fs::path folder = test::scratch("cache_room");
  DataCache cache(folder, 250);
  const auto add = [&](std::string const& key) {
    cache.entry(key, [](fs::path const& place) { put(place, 100); });
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  };
  add("a");
  add("b");
  add("a");  // used again
  add("c");
  std::vector<std::string> keys;
  for (auto const& entry : cache.list()) keys.push_back(entry.key);
  CHECK(keys == std::vector<std::string>{"c", "a"});
  fs::create_directories(folder / ".partial-left");
  put(folder / ".partial-left", 50);
  CHECK(cache.clear() == 250);
  CHECK(cache.list().empty());
  CHECK_FALSE(fs::exists(folder / ".partial-left"));
}

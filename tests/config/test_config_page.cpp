#include <fstream>
#include <iostream>
#include <iterator>
#include <set>
#include <sstream>
#include <string>

#include "lomo/config/keys.h"
#include "support/catch.h"
#include "support/source_dir.h"

using namespace lomo;

namespace {

std::set<std::string> rows_of(std::istream& text) {
  std::set<std::string> rows;
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("## Shipped")) break;  // another table
    if (line.starts_with("| `")) rows.insert(line);
  }
  return rows;
}

}  // namespace

TEST_CASE("the table of docs/CONFIG.md is that of the declarations") {
  std::ifstream page(test::source_dir() / "docs" / "CONFIG.md");
  std::istringstream declared(config_table());
  const std::set<std::string> shown = rows_of(page), expected = rows_of(declared);
  REQUIRE(expected.size() > 70);
  INFO("to get the table as it should be: test_config '[table]'");
  for (std::string const& row : expected) {
    INFO(row);
    CHECK(shown.contains(row));
  }
  CHECK(shown.size() == expected.size());
}

TEST_CASE("print the table of docs/CONFIG.md", "[.][table]") {
  std::cout << config_table();
  SUCCEED();
}

TEST_CASE("every key is read from what it was written as, and says what it is") {
  TrainConfig config;
  for (ConfigSection const& section : config_sections(config)) {
    for (ConfigKey const& key : section.keys) {
      INFO(section.path(key));
      CHECK(!key.meaning.empty());
      CHECK(key.readers.who.empty() == !key.readers.includes);
      const auto written = key.write();
      if (written.is_null() || key.required || key.name == "shape") continue;
      const Json object = {{key.name, Json::parse(written.dump())}};
      JsonReader reader(object, "a test");
      key.read(reader);
      CHECK(key.write() == written);
      CHECK_NOTHROW(reader.finish());
    }
  }
}

#include "sample.h"

#include <algorithm>
#include <string_view>

#include "lomo/io/json.h"

namespace lomo::tokenizers {

namespace {

constexpr std::string_view kSample[] = {
    "Hello, world!",
    "The quick brown fox didn't jump over 13 lazy dogs; it's 9:30 already.",
    "Two  spaces, three   spaces.",
    " a space before and after ",
    "line one\nline two\n\n\tindented\r\nend\n",
    "1234567890 3.14159 1,000,000 0x1F 2^10 50% $7.99",
    "def f(x):\n    return {'a': [x ** 2, \"b\"], **x}  # comment",
    "<p class=\"x\">a &amp; b</p> <!-- --> {{ y }}",
    "user@example.com https://example.com/a/b?c=d&e=f#g",
    "CamelCase snake_case SCREAMING-KEBAB mixed42numbers",
    "na\xC3\xAFve caf\xC3\xA9 \xC3\x85ngstr\xC3\xB6m stra\xC3\x9F"
    "e \xC3\xA6\xC3\xB8",
    "e\xCC\x81 a\xCC\x8A",
    "\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82, \xD0\xBC\xD0\xB8\xD1\x80",
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82",
    "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF \xED\x95\x9C\xEA\xB5\xAD",
    "\xD9\x85\xD8\xB1\xD8\xAD\xD8\xA8\xD8\xA7 \xE0\xA4\xA8\xE0\xA4\xAE\xE0\xA4\xB8\xE0\xA5\x8D",
    "\xF0\x9F\x98\x80 \xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F\x9A\x80 \xE2\x9C\x93 \xE2\x82\xAC "
    "\xE2\x80\x94 \xE2\x80\x9Cquoted\xE2\x80\x9D",
    "\xEF\xAC\x81 \xC2\xBD \xC2\xB2 \xE2\x84\xA2",
    "a\xC2\xA0"
    "b\xE3\x80\x80"
    "c",
    "",
    " ",
    "\n",
};

std::string list_of(std::vector<std::int32_t> const& ids) {
  constexpr std::size_t kShown = 12;
  std::string list;
  for (std::size_t i = 0; i < std::min(ids.size(), kShown); ++i) {
    list += (i == 0 ? "" : ", ") + std::to_string(ids[i]);
  }
  return "[" + list + (ids.size() > kShown ? ", ..." : "") + "]";
}

}  // namespace

std::optional<std::string> first_difference(Model const& one, Model const& other) {
  for (const std::string_view text : kSample) {
    std::vector<std::int32_t> ids;
    std::vector<std::int32_t> others;
    one.encode(text, false, ids);
    other.encode(text, false, others);
    if (ids != others) {
      return Json(text).dump() + " (" + list_of(ids) + " and " + list_of(others) + ")";
    }
  }
  return std::nullopt;
}

}  // namespace lomo::tokenizers

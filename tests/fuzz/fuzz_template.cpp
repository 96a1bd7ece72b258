#include <nlohmann/json.hpp>

#include "fuzz.h"
#include "lomo/data/jinja.h"

using namespace lomo;

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static const jinja::Json variables = jinja::Json::parse(R"({
    "messages": [{"role": "system", "content": "S"}, {"role": "user", "content": " Gr\u00fc\u00dfe "},
                 {"role": "assistant", "content": [{"type": "text", "text": "t"}],
                  "tool_calls": [{"name": "f", "arguments": {"x": [1, 2.5, null, true]}}]}],
    "tools": [{"function": {"name": "f"}}], "bos_token": "<s>", "eos_token": "</s>",
    "add_generation_prompt": true})");
  return fuzz::refusable([&] {
    const jinja::Template chat(fuzz::text(data, size), "template");
    chat.render(variables, std::tm{0, 0, 0, 30, 10, 126, 1, 333, 0, 0, "UTC"}, {20'000, 1 << 20});
  });
}

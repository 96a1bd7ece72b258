#include "fuzz.h"
#include "lomo/data/tokenizer.h"

using namespace lomo;

/// The bytes are a tokenizer.json, tried on texts when it is accepted. Ids must be tokens.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::refusable([&] {
    const Tokenizer tokenizer(fuzz::file("tokenizer.json", fuzz::text(data, size)));
    for (std::string_view const text :
         {"One small sentence, <s>3 numbers: 1 2 3.", "  \xC3\xA9t\xC3\xA9\n\t\xE2\x96\x81<0x41>",
          "abab aab\xF0\x9F\x98\x80", ""}) {
      for (const bool parse_special : {false, true}) {
        tokenizer.decode(tokenizer.encode(text, parse_special));
      }
    }
  });
}

#include "fuzz.h"
#include "lomo/data/tokenizer.h"

using namespace lomo;

/// The bytes are a tokenizer.model, tried on a sentence when it is accepted.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::refusable([&] {
    const Tokenizer tokenizer(fuzz::file("tokenizer.model", fuzz::text(data, size)));
    tokenizer.decode(tokenizer.encode("One small sentence, 3 numbers: 1 2 3."));
  });
}

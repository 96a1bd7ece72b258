#include "fuzz.h"
#include "lomo/data/example_view.h"
#include "lomo/data/open_prompt.h"

using namespace lomo;

/// The bytes are a tokenizer.model, tried on a sentence when it is accepted.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::refusable([&] {
    const Tokenizer tokenizer(fuzz::file("tokenizer.model", fuzz::text(data, size)));
    const auto ids = tokenizer.encode("One small sentence, 3 numbers: 1 2 3.");
    tokenizer.decode(ids);
    for (std::int64_t id = 0; id < tokenizer.size(); ++id) {
      tokenizer.piece_text(static_cast<std::int32_t>(id));
    }
    describe_named_tokens(tokenizer);
    view_text(tokenizer, make_sequence(ids, 1), {});
    encode_prompt(tokenizer, "A prompt: ");
  });
}

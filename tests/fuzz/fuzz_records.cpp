#include "fuzz.h"
#include "lomo/data/readers.h"
#include "lomo/data/tasks.h"

using namespace lomo;

/// The first byte chooses a reader: a SuperGLUE task, own JSONL, documents or ids. The rest is the
/// file.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static const Prompts prompts(LOMO_SOURCE_DIR "/configs/prompts/superglue.json");
  if (size == 0) return 0;
  const int choice = data[0] % 11;
  const auto bytes = fuzz::text(data + 1, size - 1);
  return fuzz::refusable([&] {
    switch (choice) {
      case 8:
        read_jsonl(fuzz::file("x.jsonl", bytes), {"prompt", "answer", ""}, [](Example const&) {});
        break;
      case 9:
        read_documents(fuzz::file("x.jsonl", bytes), {"", "text"}, [](Document const&) {});
        read_documents(fuzz::file("x.txt", bytes), {"\n\n", "text"}, [](Document const&) {});
        break;
      case 10:
        read_ids(fuzz::file("x.jsonl", bytes), [](IdList const&) {});
        break;
      default:
        read_examples(static_cast<Task>(choice), fuzz::file("x.jsonl", bytes), prompts);
    }
  });
}

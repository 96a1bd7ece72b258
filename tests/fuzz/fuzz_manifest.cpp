#include "fuzz.h"
#include "lomo/io/manifest.h"
#include "lomo/train/training_state.h"

using namespace lomo;

/// The bytes are a manifest.json and a training_state.json.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  const auto bytes = fuzz::text(data, size);
  fuzz::file("manifest.json", bytes);
  check_manifest(fuzz::folder());
  fuzz::refusable([&] { parse_manifest(bytes, "manifest.json"); });
  return fuzz::refusable([&] {
    fuzz::file("training_state.json", bytes);
    read_training_state(fuzz::folder());
  });
}

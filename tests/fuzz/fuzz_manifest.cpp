#include "fuzz.h"
#include "lomo/io/manifest.h"

using namespace lomo;

/// The bytes are a manifest.json.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  const auto bytes = fuzz::text(data, size);
  fuzz::file("manifest.json", bytes);
  check_manifest(fuzz::folder());
  return fuzz::refusable([&] { parse_manifest(bytes, "manifest.json"); });
}

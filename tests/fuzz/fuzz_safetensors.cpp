#include "fuzz.h"
#include "lomo/io/tensor_scan.h"

using namespace lomo;

/// The bytes are a safetensors file.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::refusable([&] {
    const SafetensorsFile file(fuzz::file("x.safetensors", fuzz::text(data, size)));
    for (SafetensorsEntry const& entry : file.entries()) scan_tensor(file, entry);
  });
}

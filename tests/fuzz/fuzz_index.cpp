#include <array>
#include <bit>

#include "fuzz.h"
#include "lomo/io/safetensors.h"

using namespace lomo;

namespace {

/// A whole shard with one tensor, for indices to name.
void make_shard(char const* name, std::string const& tensor) {
  const std::string header =
      "{\"" + tensor + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
  const auto prefix = std::bit_cast<std::array<char, 8>>(std::uint64_t{header.size()});
  fuzz::file(name, std::string(prefix.data(), prefix.size()) + header + std::string(4, '\0'));
}

}  // namespace

/// The bytes are a model.safetensors.index.json beside two small shards, a and b.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  static const bool made = [] {
    make_shard("a.safetensors", "a");
    make_shard("b.safetensors", "b");
    return true;
  }();
  return fuzz::refusable([&] {
    fuzz::file("model.safetensors.index.json", fuzz::text(data, size));
    if (made) CheckpointFolder(fuzz::folder()).names();
  });
}

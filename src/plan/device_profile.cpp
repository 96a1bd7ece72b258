#include "lomo/plan/device_profile.h"

#include <algorithm>
#include <chrono>

#include "lomo/core/error.h"
#include "lomo/io/json.h"
#include "lomo/train/gemm_peak.h"

namespace lomo {

double DeviceProfile::products(DType type) const {
  if (type == DType::bf16) return bf16;
  return type == DType::f16 ? f16 : f32;
}

DeviceProfile read_device_profile(std::filesystem::path const& file) {
  const Json json = read_json(file, Exit::usage);
  JsonReader reader(json, file.string(), Exit::usage);
  for (char const* key : {"name", "memory", "products", "bandwidth", "link", "source"})
    reader.require(key);
  DeviceProfile profile;
  constexpr Range<double> kPossible{1e6, 1e21};
  reader.get("name", profile.name);
  reader.get_bytes("memory", profile.memory);
  reader.get("bandwidth", profile.bandwidth, kPossible);
  reader.get("link", profile.link, kPossible);
  auto products = reader.object("products");
  for (char const* key : {"bf16", "f16", "f32"}) products->require(key);
  products->get("bf16", profile.bf16, kPossible);
  products->get("f16", profile.f16, kPossible);
  products->get("f32", profile.f32, kPossible);
  products->finish();
  auto source = reader.object("source");
  for (char const* key : {"memory", "products", "bandwidth", "link"}) {
    std::string text;
    source->require(key);
    source->get(key, text);
  }
  source->finish();
  reader.finish();
  return profile;
}

DeviceProfile measure_device(Backend& backend, DType type) {
  DeviceProfile profile;
  profile.name = "this machine";
  const double rate = measure_gemm_peak(backend, type);
  profile.bf16 = profile.f16 = profile.f32 = rate;
  const Shape shape(64, 1 << 20);  // twice 256 MiB: more than caches hold
  const Buffer from = backend.allocate(shape, DType::f32, Category::workspace, "probe source");
  const Buffer to = backend.allocate(shape, DType::f32, Category::workspace, "probe target");
  backend.zero(from);
  backend.zero(to);
  for (int i = 0; i < 3; ++i) {
    backend.synchronize();
    const auto start = std::chrono::steady_clock::now();
    backend.copy(to, from);
    backend.synchronize();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    const auto bytes = static_cast<double>(2 * from.tensor().bytes());
    profile.bandwidth = std::max(profile.bandwidth, bytes / took.count());
  }
  return profile;
}

}  // namespace lomo

#include "fuzz.h"
#include "lomo/config/config.h"
#include "lomo/model/config_json.h"

using namespace lomo;

/// The bytes are a training config or a Hugging Face config.json; a config that is accepted must be
/// read back from what is written of it.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  fuzz::refusable([&] {
    const Json json = parse_json(fuzz::text(data, size), "run.json", Exit::usage);
    const auto written = to_json(parse_config(json, "run.json")).dump();
    if (to_json(parse_config(Json::parse(written), "again")).dump() != written) __builtin_trap();
  });
  return fuzz::refusable(
      [&] { read_model_config(fuzz::file("config.json", fuzz::text(data, size))); });
}

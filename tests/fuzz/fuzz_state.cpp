#include "fuzz.h"
#include "lomo/config/config.h"
#include "lomo/run/training_state.h"

using namespace lomo;

/// The bytes are a training_state.json; what it says the config was is read as a resumed run does.
extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
  return fuzz::refusable([&] {
    fuzz::file("training_state.json", fuzz::text(data, size));
    const TrainingState state = read_training_state(fuzz::folder());
    parse_config(state.config, "training_state.json");
  });
}

// A plan made on the dry engine with the CUDA engine's ledger.
#include "engines.h"
#include "plan/planned.h"

using namespace lomo;
using namespace lomo::test;

TEST_CASE("a plan with the GPU's accounting is the real run's peak to the byte") {
  struct Case {
    OptimizerKind kind;
    DType dtype;
    Recompute recompute;
    bool tied;
    std::int64_t kept;
  };
  const Case c = GENERATE(Case{OptimizerKind::lomo, DType::f32, Recompute::none, false, 0},
                          Case{OptimizerKind::lomo, DType::bf16, Recompute::block, true, 2},
                          Case{OptimizerKind::lomo, DType::bf16, Recompute{2}, false, 0},
                          Case{OptimizerKind::adalomo, DType::f16, Recompute::block, false, 0},
                          Case{OptimizerKind::adamw, DType::bf16, Recompute::none, true, 0});
  TrainConfig config = config_of(c.kind, c.dtype);
  config.train.recompute = c.recompute;
  config.clip.norm = c.tied ? 1.0 : 0.0;
  config.clip.kept_blocks = c.kept;
  config.gradient_check =
      c.tied || c.dtype == DType::f16 ? GradientCheck::step : GradientCheck::tile;
  config.memory.tile_bytes = 4096;  // tiles at columns that are not aligned
  INFO(to_string(c.kind) << ' ' << to_string(c.dtype));
  const auto be = engine();
  check_same(config, tiny_config(c.tied), batches_of({11, 5}), *be, {.accounting = Device::cuda});
}

#pragma once
#include <cstdint>
#include <functional>
#include <string>

#include "lomo/backend/backend.h"
#include "lomo/backend/process_group.h"
#include "lomo/config/config.h"
#include "lomo/model/config.h"
#include "lomo/optim/sinks/tile_sink.h"
#include "lomo/plan/device_profile.h"

/// What lomo-bench times, on any engine: it knows the Backend contract and no engine.
namespace lomo::bench {

/// Extents of the operations: a model's, and those of a batch. Letters: docs/NOTATION.md.
struct Extents {
  ModelConfig model;
  DType type = DType::bf16;
  std::int64_t tokens = 2048;      // N
  std::int64_t sequence = 512;     // tokens of a sequence
  std::int64_t targets = 512;      // N'
  std::int64_t head_block = 8192;  // vocabulary rows of a block of the head
  std::int64_t tile = 256;         // rows of a tile of a gradient
};

/// Seconds of a call, the median of `repetitions` measurements of as many calls as last a few
/// milliseconds, after one that is not measured. Blocks.
double seconds_of(Backend& backend, std::function<void()> const& call, int repetitions);

/// Times every operation of the contract whose name contains `only`, and prints a line each: time,
/// bytes and flops a second as the ledger counts them, and the share of what `peaks` allow.
void bench_operations(Backend& backend, Extents const& extents, DeviceProfile const& peaks,
                      std::string const& only, int repetitions);

/// Times whole training steps of a model of these extents, made with random weights, as `config`
/// has them (optimizer, clipping, recomputation), and prints tokens and flops a second.
void bench_step(Engine engine, Extents const& extents, TrainConfig config,
                DeviceProfile const& peaks, int repetitions);

/// What ranks exchange in training.
struct CommOptions {
  Extents extents;                 // the model's, and the type weights are sent as
  DType comm_dtype = DType::bf16;  // gradients are sent as it
  TileSize tile;                   // of a gradient
  int repetitions = 5;
};

/// Times every exchange of a training step among the ranks of `engine`, each by itself, all ranks
/// at once; rank 0 prints a line each (bytes received, median and range of the time of the slowest
/// rank, bytes a second), and what they come to for a block of the model. Collective.
void bench_comm(Engine const& engine, CommOptions const& options);

}  // namespace lomo::bench

#pragma once
#include "lomo/data/batch.h"
#include "lomo/model/config.h"

namespace lomo {

/// Flops that a training step of `batch` comes to whatever an engine computes again or leaves out:
/// the numerator of MFU (Chowdhery et al. 2022, arXiv 2204.02311, appendix B).
///
///   3 (2 N W L + 2 N' V C + sum over blocks of 4 H D pairs)
///
/// W: elements of a block's matrices; the head on the rows with a target alone, the embedding not
/// at all; pairs: queries and keys that the causal mask and the block's window leave. Forward once,
/// backward twice.
double model_flops(ModelConfig const& config, Batch const& batch);

}  // namespace lomo

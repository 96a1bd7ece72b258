#pragma once

namespace cuda_host {

/// Gives back all communicators of NCCL, without a word to the other ranks.
void forget_communicators();

}  // namespace cuda_host

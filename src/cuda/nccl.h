#pragma once
#include <nccl.h>

namespace lomo::cuda {

/// The functions of NCCL that exchanges use. NCCL is opened when there is more than one rank: a
/// program on one GPU needs none.
struct Nccl {
  decltype(&ncclGetUniqueId) get_unique_id;
  decltype(&ncclCommInitRankConfig) init_rank;
  decltype(&ncclCommFinalize) finalize;
  decltype(&ncclCommDestroy) destroy;
  decltype(&ncclCommAbort) abort;
  decltype(&ncclCommGetAsyncError) async_error;
  decltype(&ncclGetErrorString) error_string;
  decltype(&ncclGroupStart) group_start;
  decltype(&ncclGroupEnd) group_end;
  decltype(&ncclSend) send;
  decltype(&ncclRecv) receive;
  decltype(&ncclBroadcast) broadcast;
};

/// Throws Error(Exit::usage) where NCCL is not installed.
Nccl open_nccl();

}  // namespace lomo::cuda

// In place of src/cuda/nccl.cpp: the functions of the emulated NCCL, which are linked.
#include "cuda/nccl.h"

lomo::cuda::Nccl lomo::cuda::open_nccl() {
  return {&ncclGetUniqueId,    &ncclCommInitRankConfig,
          &ncclCommFinalize,   &ncclCommDestroy,
          &ncclCommAbort,      &ncclCommGetAsyncError,
          &ncclGetErrorString, &ncclGroupStart,
          &ncclGroupEnd,       &ncclSend,
          &ncclRecv,           &ncclBroadcast};
}

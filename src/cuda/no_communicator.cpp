#include "communicator.h"
#include "lomo/core/error.h"

std::unique_ptr<lomo::Communicator> lomo::cuda::make_communicator(CudaBackend&, Communicator&,
                                                                  std::chrono::seconds) {
  throw Error(
      Exit::usage,
      "the CUDA engine was built without NCCL and computes on one GPU only; install NCCL and "
      "build it again");
}

// In place of nccl*.cpp where NVIDIA's nccl.h is not.
#include "communicators.h"

void cuda_host::forget_communicators() {}

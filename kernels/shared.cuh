#pragma once
// Declarations of shared memory: NAME is an array of N elements, or a reference to the block's
// dynamic shared memory as a T.
#define SHARED_ARRAY(T, NAME, N) __shared__ T NAME[N]
#define DYN_SHARED(T, NAME)                                      \
  extern __shared__ __align__(16) unsigned char shared_bytes_[]; \
  T& NAME = *reinterpret_cast<T*>(shared_bytes_)

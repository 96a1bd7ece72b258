#pragma once
#include <vector_types.h>

#include <cstddef>
#include <cstdint>

#include "cuda_host/site.h"

/// What a CUDA thread asks of the device it runs on. Only for kernels: outside one these have no
/// thread to speak of. What goes wrong ends the kernel with a report (control.h).
namespace cuda_host {

unsigned thread_index(int axis);
unsigned block_index(int axis);
unsigned block_extent(int axis);
unsigned grid_extent(int axis);
int lane();

/// Waits for every thread of the block at this line; how many of them gave a predicate other than
/// 0.
int barrier(int predicate, Site site);

/// The next ones wait for the lanes of `mask` at this line: no more; bits of the lanes with a
/// predicate other than 0; `bytes` of lane `source`; the instructions as device.cuh of the kernels
/// words them.
void sync_warp(unsigned mask, Site site);
unsigned ballot(unsigned mask, int predicate, Site site);
void exchange(unsigned mask, void const* value, void* result, std::size_t bytes, int source,
              Site site);
void mma_m16n8k16(bool half, float (&c)[4], std::uint32_t const (&a)[4],
                  std::uint32_t const (&b)[2], Site site);
void ldmatrix_x4(bool transposed, std::uint32_t (&r)[4], void const* row, Site site);

void cp_async16(void* to, void const* from, bool valid, Site site);
void cp_async_commit();
void cp_async_wait(int groups);

uint2 load8(void const* p, Site site);
void store8(void* p, uint2 v, Site site);
uint4 load16(void const* p, Site site);
void store16(void* p, uint4 v, Site site);

/// Shared memory of the block, all bits set until it is written, red zones around it. `key` names
/// the array: the same address for all threads of a block.
void* shared_bytes(void const* key, char const* name, std::size_t bytes, std::size_t align,
                   Site site);
void* dynamic_shared_bytes(std::size_t bytes, Site site);

/// `Key` is a type that no other array has: that of a lambda at the declaration.
template <class Array, class Key>
Array& shared_array(Key, char const* name, char const* file, int line) {
  static const char key = 0;
  return *static_cast<Array*>(
      shared_bytes(&key, name, sizeof(Array), alignof(Array), Site(file, line)));
}
template <class T>
T& dynamic_shared(char const* file, int line) {
  return *static_cast<T*>(dynamic_shared_bytes(sizeof(T), Site(file, line)));
}

}  // namespace cuda_host

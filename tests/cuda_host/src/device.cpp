#include "cuda_host/device.h"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <cstring>

#include "block.h"
#include "memory.h"
#include "watcher.h"

namespace cuda_host {
namespace {

unsigned axis_of(uint3 v, int axis) {
  return axis == 0 ? v.x : axis == 1 ? v.y : v.z;
}
unsigned axis_of(dim3 v, int axis) {
  return axis == 0 ? v.x : axis == 1 ? v.y : v.z;
}

bool aligned(void const* p, std::size_t to = 16) {
  return reinterpret_cast<std::uintptr_t>(p) % to == 0;
}

struct Fragments {
  bool half;
  float* c;                // 4
  std::uint32_t const* a;  // 4
  std::uint32_t const* b;  // 2
};

/// Element `high` (0 or 1) of a register that holds two.
float element(std::uint32_t word, int high, bool half) {
  const auto raw = static_cast<std::uint16_t>(word >> (16 * high));
  if (half) return __half2float(__half(__half_raw{raw}));
  return __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{raw}));
}

/// Gathers the matrices from the lanes, multiplies, and scatters the sums. Products of one output
/// are added one after another in fp32; hardware adds them in an order of its own.
std::string multiply(Part* const* parts, unsigned) {
  float a[16][16], b[16][8], c[16][8];
  for (int lane = 0; lane < kLanes; ++lane) {
    auto const& f = *static_cast<Fragments const*>(parts[lane]->in);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 2; ++i) {
      a[g][2 * q + i] = element(f.a[0], i, f.half);
      a[g + 8][2 * q + i] = element(f.a[1], i, f.half);
      a[g][2 * q + 8 + i] = element(f.a[2], i, f.half);
      a[g + 8][2 * q + 8 + i] = element(f.a[3], i, f.half);
      b[2 * q + i][g] = element(f.b[0], i, f.half);
      b[2 * q + 8 + i][g] = element(f.b[1], i, f.half);
      c[g][2 * q + i] = f.c[i];
      c[g + 8][2 * q + i] = f.c[2 + i];
    }
  }
  for (int m = 0; m < 16; ++m) {
    for (int k = 0; k < 16; ++k) {
      for (int n = 0; n < 8; ++n) c[m][n] += a[m][k] * b[k][n];
    }
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    auto const& f = *static_cast<Fragments const*>(parts[lane]->in);
    const int g = lane / 4, q = lane % 4;
    for (int i = 0; i < 2; ++i) {
      f.c[i] = c[g][2 * q + i];
      f.c[2 + i] = c[g + 8][2 * q + i];
    }
  }
  return {};
}

template <bool kTransposed>
std::string load_matrices(Part* const* parts, unsigned) {
  for (int lane = 0; lane < kLanes; ++lane) {
    auto* const r = static_cast<std::uint32_t*>(parts[lane]->out);
    for (int matrix = 0; matrix < 4; ++matrix) {
      std::uint16_t pair[2];
      for (int i = 0; i < 2; ++i) {
        const int row = kTransposed ? 2 * (lane % 4) + i : lane / 4;
        const int column = kTransposed ? lane / 4 : 2 * (lane % 4) + i;
        auto const* const at = static_cast<char const*>(parts[8 * matrix + row]->in);
        std::memcpy(&pair[i], at + 2 * column, 2);
      }
      std::memcpy(&r[matrix], pair, 4);
    }
  }
  return {};
}

std::string swap_values(Part* const* parts, unsigned mask) {
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    Part const& p = *parts[lane];
    if (p.source < 0 || p.source >= kLanes || (mask >> p.source & 1) == 0) {
      return "a shuffle reads lane " + std::to_string(p.source) + ", which its mask leaves out";
    }
    std::memcpy(p.out, parts[p.source]->in, p.bytes);
  }
  return {};
}

std::string collect_votes(Part* const* parts, unsigned mask) {
  unsigned votes = 0;
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) != 0 && parts[lane]->source != 0) votes |= 1u << lane;
  }
  for (int lane = 0; lane < kLanes; ++lane) {
    if ((mask >> lane & 1) != 0) std::memcpy(parts[lane]->out, &votes, sizeof votes);
  }
  return {};
}

/// Of the call that a kernel made: the instruction. Only where that function is not inlined.
#define CUDA_HOST_CALLER __builtin_return_address(0)

void watch(void const* p, std::size_t bytes, bool store, void const* at) {
  if (watcher().on()) watcher().access({p, bytes, store, at});
}

void perform(Copy const& copy) {
  if (copy.from == nullptr) {
    std::memset(copy.to, 0, 16);
  } else {
    std::memcpy(copy.to, copy.from, 16);
  }
}

}  // namespace

unsigned thread_index(int axis) {
  return axis_of(runner().current().index, axis);
}
unsigned block_index(int axis) {
  return axis_of(runner().block_index(), axis);
}
unsigned block_extent(int axis) {
  return axis_of(runner().launch().block, axis);
}
unsigned grid_extent(int axis) {
  return axis_of(runner().launch().grid, axis);
}
int lane() {
  return runner().current().lane();
}

int barrier(int predicate, Site site) {
  return runner().barrier(predicate, site);
}

void sync_warp(unsigned mask, Site site) {
  Part part;
  runner().meet(mask, part, order_memory, site);
}

unsigned ballot(unsigned mask, int predicate, Site site) {
  unsigned votes = 0;
  Part part;
  part.out = &votes;
  part.source = predicate;
  runner().meet(mask, part, collect_votes, site);
  return votes;
}

void exchange(unsigned mask, void const* value, void* result, std::size_t bytes, int source,
              Site site) {
  Part part;
  part.in = value;
  part.out = result;
  part.bytes = bytes;
  part.source = source;
  runner().meet(mask, part, swap_values, site);
}

void mma_m16n8k16(bool half, float (&c)[4], std::uint32_t const (&a)[4],
                  std::uint32_t const (&b)[2], Site site) {
  Fragments fragments{half, c, a, b};
  Part part;
  part.in = &fragments;
  runner().meet(0xffffffffu, part, multiply, site);
}

void ldmatrix_x4(bool transposed, std::uint32_t (&r)[4], void const* row, Site site) {
  if (!aligned(row)) runner().fail(site, "ldmatrix from an address that is not 16-byte aligned");
  if (!runner().shared().contains(row, 16)) {
    runner().fail(site, "ldmatrix from outside shared memory");
  }
  watch(row, 16, false, CUDA_HOST_CALLER);
  Part part;
  part.in = row;
  part.out = r;
  runner().meet(0xffffffffu, part, transposed ? load_matrices<true> : load_matrices<false>, site);
}

void cp_async16(void* to, void const* from, bool valid, Site site) {
  BlockRunner& r = runner();
  if (!aligned(to) || (valid && !aligned(from))) {
    r.fail(site, "cp.async with an address that is not 16-byte aligned");
  }
  if (!r.shared().contains(to, 16)) r.fail(site, "cp.async to outside shared memory");
  if (valid && !is_device_memory(from, 16)) {
    r.fail(site, "cp.async from outside any allocation of device memory");
  }
  const Copy copy{to, valid ? from : nullptr, r.current().groups, CUDA_HOST_CALLER};
  if (watcher().on()) watcher().copy({to, 16, true, copy.at}, copy.from, /*done=*/false);
  if (r.late_copies()) {
    std::memset(to, 0xff, 16);
  } else {
    perform(copy);
  }
  r.current().copies.push_back(copy);
}

void cp_async_commit() {
  ++runner().current().groups;
}

void cp_async_wait(int groups) {
  Thread& t = runner().current();
  std::erase_if(t.copies, [&](Copy const& copy) {
    if (copy.group >= t.groups - groups) return false;
    if (watcher().on()) watcher().copy({copy.to, 16, true, copy.at}, nullptr, /*done=*/true);
    if (runner().late_copies()) perform(copy);
    return true;
  });
}

uint2 load8(void const* p, Site site) {
  if (!aligned(p, 8)) runner().fail(site, "8 bytes read at an address that is not 8-byte aligned");
  watch(p, 8, false, CUDA_HOST_CALLER);
  return *static_cast<uint2 const*>(p);
}

void store8(void* p, uint2 v, Site site) {
  if (!aligned(p, 8)) {
    runner().fail(site, "8 bytes written at an address that is not 8-byte aligned");
  }
  watch(p, 8, true, CUDA_HOST_CALLER);
  *static_cast<uint2*>(p) = v;
}

uint4 load16(void const* p, Site site) {
  if (!aligned(p)) runner().fail(site, "16 bytes read at an address that is not 16-byte aligned");
  watch(p, 16, false, CUDA_HOST_CALLER);
  return *static_cast<uint4 const*>(p);
}

void store16(void* p, uint4 v, Site site) {
  if (!aligned(p))
    runner().fail(site, "16 bytes written at an address that is not 16-byte aligned");
  watch(p, 16, true, CUDA_HOST_CALLER);
  *static_cast<uint4*>(p) = v;
}

void* shared_bytes(void const* key, char const* name, std::size_t bytes, std::size_t align,
                   Site site) {
  void* const p = runner().shared().array(key, name, bytes, align, site);
  if (p == nullptr) {
    runner().fail(site, "no room for ", name,
                  ": at most 48 KiB of arrays, and with the dynamic shared memory no more than the "
                  "device has");
  }
  return p;
}

void* dynamic_shared_bytes(std::size_t bytes, Site site) {
  SharedMemory& shared = runner().shared();
  if (bytes > shared.dynamic_bytes()) {
    runner().fail(site, "the kernel needs ", bytes,
                  " bytes of dynamic shared memory, the launch gives ", shared.dynamic_bytes());
  }
  return shared.dynamic();
}

}  // namespace cuda_host

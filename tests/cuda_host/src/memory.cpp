#include "memory.h"

#include <cuda_runtime_api.h>
#include <sys/mman.h>

#include <cstring>
#include <map>
#include <stdexcept>

#include "device_state.h"
#include "sanitizer.h"
#include "streams.h"

namespace cuda_host {
namespace {

constexpr std::size_t kPage = 4096;
constexpr std::size_t kAlign = 256;  // what cudaMalloc promises
constexpr std::size_t kTotal = std::size_t{24} << 30;
constexpr std::size_t kArena = std::size_t{1} << 40;  // addresses only: none is used twice
constexpr std::size_t kMaxPoison = std::size_t{256} << 20;
constexpr unsigned char kTailByte = 0xfb;

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

/// One cudaMalloc: whole pages, the piece at their end, so that the first address beyond it (but
/// for the tail that alignment leaves) is in a page that nobody may touch.
struct Piece {
  char* pages;
  std::size_t page_bytes;
  std::size_t bytes;
};

struct Memory {
  Memory() {
    void* const p =
        mmap(nullptr, kArena, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) throw std::runtime_error("cuda_host: cannot reserve addresses");
    base = static_cast<char*>(p);
  }
  char* base;
  std::size_t used_addresses = 0, used_bytes = 0;
  std::map<char const*, Piece> pieces;        // by the address cudaMalloc gave
  std::map<char const*, std::size_t> pinned;  // by address: bytes
  int open = 0;
};

Memory& memory() {
  static Memory the_memory;
  return the_memory;
}

/// The entry of `all` that holds [p, p + bytes), or null. Values are sizes or have them.
template <class Map, class Size>
typename Map::value_type const* find(Map const& all, void const* p, std::size_t bytes, Size size) {
  auto const* const c = static_cast<char const*>(p);
  auto it = all.upper_bound(c);
  if (it == all.begin()) return nullptr;
  --it;
  return c + bytes <= it->first + size(it->second) ? &*it : nullptr;
}

void protect(int rights) {
  for (auto const& [address, piece] : memory().pieces) {
    mprotect(piece.pages, piece.page_bytes, rights);
  }
}

}  // namespace

bool is_device_address(void const* p) {
  auto const* const c = static_cast<char const*>(p);
  return c >= memory().base && c < memory().base + kArena;
}

bool is_device_memory(void const* p, std::size_t bytes) {
  return find(memory().pieces, p, bytes, [](Piece const& x) { return x.bytes; }) != nullptr;
}

bool is_pinned(void const* p, std::size_t bytes) {
  return find(memory().pinned, p, bytes, [](std::size_t n) { return n; }) != nullptr;
}

DeviceMemoryOpen::DeviceMemoryOpen() {
  if (memory().open++ == 0) protect(PROT_READ | PROT_WRITE);
}

DeviceMemoryOpen::~DeviceMemoryOpen() {
  if (--memory().open == 0) protect(PROT_NONE);
}

std::string check_device_memory() {
  for (auto const& [address, piece] : memory().pieces) {
    char const* const end = piece.pages + piece.page_bytes;
    allow(address + piece.bytes, static_cast<std::size_t>(end - address) - piece.bytes);
    for (char const* p = address + piece.bytes; p < end; ++p) {
      if (static_cast<unsigned char>(*p) != kTailByte) {
        return "device memory was written to " + std::to_string(p - address - piece.bytes) +
               " bytes beyond the end of an allocation of " + std::to_string(piece.bytes);
      }
    }
    forbid(address + piece.bytes, static_cast<std::size_t>(end - address) - piece.bytes);
  }
  return {};
}

namespace {

void release(Piece const& piece) {
  allow(piece.pages, piece.page_bytes);
  mprotect(piece.pages, piece.page_bytes, PROT_NONE);
  madvise(piece.pages, piece.page_bytes, MADV_DONTNEED);
}

}  // namespace

void free_all_memory() {
  for (auto const& [address, piece] : memory().pieces) release(piece);
  for (auto const& [address, bytes] : memory().pinned) std::free(const_cast<char*>(address));
  memory().pieces.clear();
  memory().pinned.clear();
  memory().used_bytes = 0;
}

}  // namespace cuda_host

using namespace cuda_host;

cudaError_t cudaMalloc(void** pointer, std::size_t bytes) {
  if (sticky() != cudaSuccess) return sticky();
  if (pointer == nullptr) return note(cudaErrorInvalidValue);
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  Memory& m = memory();
  const std::size_t page_bytes = round_up(round_up(bytes, kAlign), kPage);
  if (m.used_bytes + page_bytes > kTotal) return note(cudaErrorMemoryAllocation);
  if (m.used_addresses + page_bytes + kPage > kArena) return note(cudaErrorMemoryAllocation);
  const Piece piece{m.base + m.used_addresses, page_bytes, bytes};
  char* const address = piece.pages + page_bytes - round_up(bytes, kAlign);
  if (mprotect(piece.pages, page_bytes, PROT_READ | PROT_WRITE) != 0) {
    return note(cudaErrorMemoryAllocation);
  }
  if (bytes <= kMaxPoison) std::memset(address, 0xff, bytes);
  const std::size_t tail = round_up(bytes, kAlign) - bytes;
  std::memset(address + bytes, kTailByte, tail);
  forbid(address + bytes, tail);
  if (m.open == 0) mprotect(piece.pages, page_bytes, PROT_NONE);
  m.used_addresses += page_bytes + kPage;
  m.used_bytes += page_bytes;
  m.pieces.emplace(address, piece);
  *pointer = address;
  return cudaSuccess;
}

cudaError_t cudaFree(void* pointer) {
  if (pointer == nullptr) return sticky();
  streams().finish_all();
  if (sticky() != cudaSuccess) return sticky();
  const auto it = memory().pieces.find(static_cast<char const*>(pointer));
  if (it == memory().pieces.end()) return note(cudaErrorInvalidValue);
  release(it->second);
  memory().used_bytes -= it->second.page_bytes;
  memory().pieces.erase(it);
  return cudaSuccess;
}

cudaError_t cudaMallocHost(void** pointer, std::size_t bytes) {
  if (sticky() != cudaSuccess) return sticky();
  *pointer = std::aligned_alloc(kPage, round_up(bytes == 0 ? 1 : bytes, kPage));
  if (*pointer == nullptr) return note(cudaErrorMemoryAllocation);
  std::memset(*pointer, 0xff, bytes);
  memory().pinned.emplace(static_cast<char const*>(*pointer), bytes);
  return cudaSuccess;
}

cudaError_t cudaHostAlloc(void** pointer, std::size_t bytes, unsigned int) {
  return cudaMallocHost(pointer, bytes);
}

cudaError_t cudaFreeHost(void* pointer) {
  if (pointer == nullptr) return sticky();
  streams().finish_all();
  const auto it = memory().pinned.find(static_cast<char const*>(pointer));
  if (it == memory().pinned.end()) return note(cudaErrorInvalidValue);
  std::free(pointer);
  memory().pinned.erase(it);
  return sticky();
}

cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *total = kTotal;
  *free = kTotal - memory().used_bytes;
  return sticky();
}

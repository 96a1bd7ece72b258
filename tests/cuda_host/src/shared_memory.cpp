#include "shared_memory.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <stdexcept>

#include "block.h"
#include "sanitizer.h"

namespace cuda_host {
namespace {

constexpr std::size_t kMaxArrayBytes = 48 * 1024;
// NaN as fp16, bf16 and fp32, and unlike the all-ones that memory starts with.
constexpr unsigned char kZoneBytes[2] = {0xff, 0x7f};

std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) / to * to;
}

}  // namespace

SharedMemory::SharedMemory() {
  void* const p =
      mmap(nullptr, kReserved, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) throw std::runtime_error("cuda_host: no memory for shared memory");
  base_ = static_cast<char*>(p);
}

SharedMemory::~SharedMemory() {
  allow(base_, kReserved);
  munmap(base_, kReserved);
}

void SharedMemory::begin_block(std::size_t dynamic_bytes, std::size_t max_bytes) {
  top_ = 0;
  arrays_.clear();
  dynamic_bytes_ = dynamic_bytes;
  array_bytes_ = 0;
  max_bytes_ = max_bytes;
  allow(base_, kReserved);
  open(0, dynamic_bytes);
}

/// A piece with a red zone before and after it. `begin` is where the zone before starts.
void SharedMemory::open(std::size_t begin, std::size_t bytes) {
  const std::size_t first = begin + kRedZone;
  top_ = round_up(first + bytes, 128);
  for (std::size_t i = begin == 0 ? 0 : first; i < top_ + kRedZone; ++i) {
    base_[i] = static_cast<char>(kZoneBytes[i % 2]);
  }
  std::memset(base_ + first, 0xff, bytes);
  forbid(base_ + begin, kRedZone);
  forbid(base_ + first + bytes, top_ + kRedZone - first - bytes);
}

void* SharedMemory::array(void const* key, char const* name, std::size_t bytes, std::size_t align,
                          Site site) {
  for (Array const& a : arrays_) {
    if (a.key == key) return base_ + a.begin;
  }
  array_bytes_ = round_up(array_bytes_, align) + bytes;
  if (array_bytes_ > kMaxArrayBytes || array_bytes_ + dynamic_bytes_ > max_bytes_) return nullptr;
  const std::size_t begin = top_;
  allow(base_ + begin, kRedZone + bytes + kRedZone + 128);
  open(begin, bytes);
  arrays_.push_back({key, name, begin + kRedZone, begin + kRedZone + bytes, site});
  return base_ + begin + kRedZone;
}

bool SharedMemory::contains(void const* p, std::size_t bytes) const {
  auto const* const c = static_cast<char const*>(p);
  return c >= base_ + kRedZone && c + bytes <= base_ + top_;
}

std::string SharedMemory::check() const {
  allow(base_, kReserved);
  const auto touched = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to; ++i) {
      if (static_cast<unsigned char>(base_[i]) != kZoneBytes[i % 2]) return true;
    }
    return false;
  };
  if (touched(0, kRedZone)) return "shared memory was written to below the dynamic part";
  std::size_t end = kRedZone + dynamic_bytes_;
  std::string what = "the end of the dynamic part";
  for (Array const& a : arrays_) {
    if (touched(end, a.begin)) {
      return "shared memory was written to between " + what + " and " + a.name + " (" +
             to_string(a.site) + ")";
    }
    end = a.end;
    what = "the end of " + std::string(a.name) + " (" + to_string(a.site) + ")";
  }
  if (touched(end, top_ + kRedZone)) return "shared memory was written to beyond " + what;
  return {};
}

}  // namespace cuda_host

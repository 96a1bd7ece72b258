#pragma once
#include <cstddef>
#include <string>
#include <vector>

#include "cuda_host/site.h"

namespace cuda_host {

/// The shared memory of the block that runs: dynamic first, then the arrays as they are first
/// named. Every piece starts with all bits set (NaN, -1) and lies between red zones, which are
/// looked at when the block ends; the address sanitizer watches them as well.
class SharedMemory {
 public:
  static constexpr std::size_t kReserved = std::size_t{1} << 20;  // red zones outweigh small arrays

  SharedMemory();
  ~SharedMemory();
  SharedMemory(SharedMemory const&) = delete;
  SharedMemory& operator=(SharedMemory const&) = delete;

  void begin_block(std::size_t dynamic_bytes, std::size_t max_bytes);
  /// Null if the block would have more than 48 KiB in arrays, or more in all than the device has.
  void* array(void const* key, char const* name, std::size_t bytes, std::size_t align, Site site);
  void* dynamic() const { return base_ + kRedZone; }
  std::size_t dynamic_bytes() const { return dynamic_bytes_; }
  bool contains(void const* p, std::size_t bytes) const;
  std::size_t offset_of(void const* p) const {
    return static_cast<std::size_t>(static_cast<char const*>(p) - base_);
  }
  /// Empty, or which red zone was written to.
  std::string check() const;

 private:
  static constexpr std::size_t kRedZone = 1024;
  struct Array {
    void const* key;
    char const* name;
    std::size_t begin, end;  // offsets
    Site site;
  };
  void open(std::size_t begin, std::size_t bytes);

  char* base_;
  std::size_t top_ = 0, dynamic_bytes_ = 0, array_bytes_ = 0, max_bytes_ = 0;
  std::vector<Array> arrays_;
};

}  // namespace cuda_host

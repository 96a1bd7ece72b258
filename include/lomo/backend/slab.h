#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <string_view>

#include "lomo/backend/ledger.h"
#include "lomo/core/tensor.h"

namespace lomo {

class Slab;

/// The only owner of engine memory: one block of a slab, given back on destruction. Move-only.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept;
  Buffer& operator=(Buffer&& other) noexcept;
  Buffer(Buffer const&) = delete;  // a copy would be a second owner of the same bytes
  Buffer& operator=(Buffer const&) = delete;
  ~Buffer();

  Tensor tensor() const { return view_; }
  operator Tensor() const { return view_; }
  explicit operator bool() const { return slab_ != nullptr; }
  /// Gives the block back now.
  void reset() noexcept;

 private:
  friend class Slab;
  Slab* slab_ = nullptr;
  std::size_t offset_ = 0;
  std::size_t bytes_ = 0;
  Category category_ = Category::workspace;
  Tensor view_;
};

/// One contiguous range of engine memory with a deterministic best-fit allocator: the same sequence
/// of calls gives the same offsets on every engine, so a dry run's high-water mark is the real one.
/// Blocks are aligned to kAlignment; an empty tensor takes no bytes. Freed neighbours merge.
/// Not thread-safe: engines allocate from the thread that drives them.
class Slab {
 public:
  static constexpr std::size_t kAlignment = 256;

  /// `base` is the address of `capacity` bytes, or null on the dry engine. Does not own the range.
  Slab(void* base, std::size_t capacity, Device device, Ledger& ledger);

  /// Contents are undefined. Throws Error(Exit::memory) naming `what`, its size, and what the slab
  /// holds by category.
  Buffer allocate(Shape shape, DType dtype, Category category, std::string_view what);

  /// What is freed from here on stays taken until `free_deferred` of this mark or a later one:
  /// another stream may still be using it. Marks ascend; 0: what is freed is free at once.
  void defer_free(std::uint64_t mark) { mark_ = mark; }
  /// Frees what was held back by marks up to this one.
  void free_deferred(std::uint64_t mark) noexcept;

  std::size_t capacity() const { return capacity_; }

 private:
  friend class Buffer;
  struct DeferredFree {
    std::uint64_t mark;
    std::size_t offset, bytes;
    Category category;
  };
  void release(std::size_t offset, std::size_t bytes, Category category) noexcept;
  [[noreturn]] void out_of_memory(std::size_t bytes, std::string_view what) const;

  std::byte* base_;
  std::size_t capacity_;
  Device device_;
  Ledger& ledger_;
  std::map<std::size_t, std::size_t> free_;  // offset -> bytes, no two adjacent
  std::uint64_t mark_ = 0;                   // of what is freed now
  std::deque<DeferredFree> deferred_;        // marks ascend
};

}  // namespace lomo

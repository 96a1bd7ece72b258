#include "lomo/backend/slab.h"

#include <string>
#include <utility>

#include "lomo/core/error.h"

namespace lomo {

Buffer::Buffer(Buffer&& other) noexcept
    : slab_(std::exchange(other.slab_, nullptr)),
      offset_(other.offset_),
      bytes_(other.bytes_),
      category_(other.category_),
      view_(std::exchange(other.view_, Tensor())) {}

Buffer& Buffer::operator=(Buffer&& other) noexcept {
  if (this != &other) {
    reset();
    slab_ = std::exchange(other.slab_, nullptr);
    offset_ = other.offset_;
    bytes_ = other.bytes_;
    category_ = other.category_;
    view_ = std::exchange(other.view_, Tensor());
  }
  return *this;
}

Buffer::~Buffer() {
  reset();
}

void Buffer::reset() noexcept {
  if (slab_ != nullptr) slab_->release(offset_, bytes_, category_);
  slab_ = nullptr;
  view_ = Tensor();
}

Slab::Slab(void* base, std::size_t capacity, Device device, Ledger& ledger)
    : base_(static_cast<std::byte*>(base)), capacity_(capacity), device_(device), ledger_(ledger) {
  free_.emplace(0, capacity);
}

Buffer Slab::allocate(Shape shape, DType dtype, Category category, std::string_view what) {
  const std::size_t wanted = static_cast<std::size_t>(shape.numel()) * size_of(dtype);
  const std::size_t bytes = (wanted + kAlignment - 1) / kAlignment * kAlignment;
  Buffer buffer;
  buffer.slab_ = this;
  buffer.category_ = category;
  if (bytes == 0) {
    buffer.view_ = Tensor(base_, shape, dtype, device_);
    return buffer;
  }
  // The smallest that fits, the lowest offset among equals; what lies behind all blocks last, as if
  // it had no end, so that no offset depends on the capacity.
  auto best = free_.end();
  for (auto it = free_.begin(); it != free_.end(); ++it) {
    if (it->second < bytes) continue;
    const bool tail = it->first + it->second == capacity_;
    if (best == free_.end() || (!tail && it->second < best->second)) best = it;
  }
  if (best == free_.end()) {
    buffer.slab_ = nullptr;
    out_of_memory(bytes, what);
  }
  const auto [offset, size] = *best;
  free_.erase(best);
  if (size > bytes) free_.emplace(offset + bytes, size - bytes);
  ledger_.allocated(category, bytes, offset, what);
  ledger_.extent(offset + bytes);
  buffer.offset_ = offset;
  buffer.bytes_ = bytes;
  std::byte* const address = base_ == nullptr ? nullptr : base_ + offset;
  buffer.view_ = Tensor(address, shape, dtype, device_);
  return buffer;
}

void Slab::release(std::size_t offset, std::size_t bytes, Category category) noexcept {
  if (bytes == 0) return;
  if (mark_ != 0) return deferred_.push_back({mark_, offset, bytes, category});
  ledger_.freed(category, bytes, offset);
  auto [it, inserted] = free_.emplace(offset, bytes);
  if (auto next = std::next(it); next != free_.end() && it->first + it->second == next->first) {
    it->second += next->second;
    free_.erase(next);
  }
  if (it != free_.begin()) {
    auto previous = std::prev(it);
    if (previous->first + previous->second == it->first) {
      previous->second += it->second;
      free_.erase(it);
    }
  }
}

void Slab::free_deferred(std::uint64_t mark) noexcept {
  while (!deferred_.empty() && deferred_.front().mark <= mark) {
    const DeferredFree block = deferred_.front();
    deferred_.pop_front();
    release(block.offset, block.bytes, block.category);
  }
}

void Slab::out_of_memory(std::size_t bytes, std::string_view what) const {
  const auto mib = [](std::size_t n) {
    return std::to_string((n + (1u << 20) - 1) >> 20) + " MiB";
  };
  std::string message = "engine memory is full: " + std::string(what) + " needs " + mib(bytes) +
                        " of " + mib(capacity_) + "; held:";
  for (int i = 0; i < kCategories; ++i) {
    const auto category = static_cast<Category>(i);
    message += " " + std::string(to_string(category)) + " " + mib(ledger_.current(category));
  }
  message += ". Use smaller batches (batch.max_tokens), recompute, or more memory.";
  throw Error(Exit::memory, message);
}

}  // namespace lomo

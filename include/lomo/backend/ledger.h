#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>

namespace lomo {

/// What engine memory is for. Every byte of the slab has exactly one category.
enum class Category : std::uint8_t {
  weights,
  gradients,
  optimizer,
  activations,
  workspace,
  communication,
};
inline constexpr int kCategories = 6;
std::string_view to_string(Category category);

using CategoryBytes = std::array<std::size_t, kCategories>;

/// Work of one operation: flops count a multiply-add as 2; bytes are those of the operands touched
/// once (the roofline's lower bound); sent and received are bytes exchanged with other ranks.
struct Cost {
  double flops = 0;
  double bytes = 0;
  double sent = 0;
  double received = 0;
};

class EventLog;

/// The accounting of one engine: bytes held by category, their peak, and the work done by op. Sizes
/// are as allocated (rounded up to the slab's alignment). Single-threaded like the slab it serves.
class Ledger {
 public:
  /// `offset` and `what` name the block in an event log.
  void allocated(Category category, std::size_t bytes, std::size_t offset = 0,
                 std::string_view what = {});
  void freed(Category category, std::size_t bytes, std::size_t offset = 0) noexcept;
  /// End of the highest block ever in use: what a slab must hold, fragmentation included.
  void extent(std::size_t end);
  /// An operation or an exchange.
  void record(std::string_view op, Cost cost);

  std::size_t current() const;
  std::size_t current(Category category) const { return held_[index(category)]; }
  /// The largest sum held at one moment, and what it was made of then.
  std::size_t peak() const { return peak_; }
  CategoryBytes const& at_peak() const { return at_peak_; }
  /// The most each category held at any moment (moments may differ).
  CategoryBytes const& peak_by_category() const { return peak_each_; }
  std::size_t extent() const { return extent_; }

  struct Op {
    std::uint64_t calls = 0;
    Cost cost;
  };
  std::map<std::string, Op, std::less<>> const& ops() const { return ops_; }
  double flops() const;

  /// Forgets peaks and work; what is held stays held. For measuring a phase.
  void restart();

  /// Where everything is noted too, or null; see Backend::set_event_log.
  EventLog* event_log() const { return event_log_; }

 private:
  friend class Backend;
  static std::size_t index(Category c) { return static_cast<std::size_t>(c); }

  CategoryBytes held_{};
  CategoryBytes peak_each_{};
  CategoryBytes at_peak_{};
  std::size_t peak_ = 0;
  std::size_t extent_ = 0;
  std::map<std::string, Op, std::less<>> ops_;
  EventLog* event_log_ = nullptr;
};

}  // namespace lomo

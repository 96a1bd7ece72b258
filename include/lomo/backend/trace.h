#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/backend/ledger.h"

namespace lomo {

/// Everything that happened on a ledger while it was attached, in order: what plans name tensors
/// by, and what memory pictures are drawn from.
class Trace {
 public:
  enum class Kind : std::uint8_t {
    allocated,
    freed,
    op,
    exchange,
    wait,         // for an exchange
    side_stream,  // what follows is issued to the side stream,
    main_stream,  // and from here on to the first one again
    join,         // which waits for what was issued to the second
  };
  struct Event {
    Kind kind;
    Category category;    // of memory events
    std::uint32_t name;   // of the block, op or exchange; see name()
    std::size_t offset;   // of the block in its slab
    std::size_t bytes;    // of the block
    Cost cost;            // of the op or exchange
    std::uint64_t fence;  // of exchanges, counted from 1; of what is issued beside
  };

  void allocated(Category category, std::size_t offset, std::size_t bytes, std::string_view what);
  void freed(Category category, std::size_t offset, std::size_t bytes);
  void op(std::string_view name, Cost cost);
  void exchange(std::string_view name, Cost cost);
  /// `wait`, `on_side_stream`, `back` or `join`.
  void queue(Kind kind, std::uint64_t fence);

  std::vector<Event> const& events() const { return events_; }
  std::string const& name(std::uint32_t index) const { return names_[index]; }

 private:
  std::uint32_t index_of(std::string_view name);

  std::vector<Event> events_;
  std::uint64_t exchanges_ = 0;
  std::vector<std::string> names_;
  std::map<std::string, std::uint32_t, std::less<>> known_;
};

}  // namespace lomo

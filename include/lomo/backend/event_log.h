#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "lomo/backend/ledger.h"

namespace lomo {

/// One stream of a rank. What is issued to one runs in that order and overlaps with what the others
/// run.
enum class Track : std::uint8_t {
  compute,
  side,  // what Backend::on_side_stream issues, where it has a stream of its own
  communication,
};
inline constexpr int kTracks = 3;
std::string_view to_string(Track track);

/// What happened on an engine, in the order in which the host issued it, while
/// Backend::set_event_log had it: memory taken and given back, operations, exchanges, waits. A dry
/// engine's log is what plans, time models and memory pictures are made of; a running engine's also
/// says when each ran, and becomes the file of --trace.
class EventLog {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  enum class Kind : std::uint8_t {
    allocated,
    freed,
    operation,
    exchange,
    wait,         // for an exchange
    join,         // for what was issued to the side stream
    side_stream,  // what follows is issued to the side stream,
    main_stream,  // and from here on to the first one again
  };

  struct Event {
    Kind kind = Kind::operation;
    Track track = Track::compute;  // it is issued to
    std::string_view name = {};    // of the block, operation or exchange; lives as long as the log
    Category category = Category::workspace;  // of memory events
    std::size_t offset = 0, bytes = 0;        // of the block in its slab
    Cost cost = {};                           // of an operation or exchange
    std::uint64_t fence = 0;       // of an exchange or a call of on_side_stream; of what is waited
    std::string_view tensor = {};  // which parameter it is about, where somebody says so
    Time issued = {};              // by the host
    Time begin = {}, end = {};     // on its stream; Time() while that is not known
    bool waits() const { return kind == Kind::wait || kind == Kind::join; }
    /// When it ran is known; of memory and of changes of the stream it never is.
    bool timed() const { return end != Time(); }
  };

  void allocated(Category category, std::size_t offset, std::size_t bytes, std::string_view what);
  void freed(Category category, std::size_t offset, std::size_t bytes);

  // Something is issued now. Its address stays; who runs it says when it began and ended.

  Event& operation(std::string_view name, Cost cost);
  Event& exchange(std::string_view name, Cost cost);
  /// The stream that is issued to waits: for an exchange (Kind::wait) or the side stream (join).
  Event& wait(Kind kind, std::uint64_t fence);
  /// Operations and waits are issued to that stream from here on.
  void enter_side_stream(std::uint64_t fence);
  void leave_side_stream(std::uint64_t fence);

  /// In the order in which the host issued them.
  std::deque<Event> const& events() const { return events_; }

  /// While it lives, what is issued is about this parameter. A null log is left alone.
  class Scope {
   public:
    Scope(EventLog* log, std::string_view tensor);
    Scope(Scope const&) = delete;  // ends once
    Scope& operator=(Scope const&) = delete;
    ~Scope();

   private:
    EventLog* log_;
    std::string_view before_;
  };

 private:
  Event& issue(Kind kind, Track track, std::string_view name, Cost cost);
  std::string_view kept(std::string_view name);

  Track stream_ = Track::compute;  // that is issued to
  std::string_view tensor_;        // what is issued is about it
  std::deque<Event> events_;
  using Names = std::set<std::string, std::less<>>;
  std::shared_ptr<Names> names_ = std::make_shared<Names>();  // shared by copies of the log
};

}  // namespace lomo

#pragma once
#include <chrono>
#include <cstdint>
#include <deque>
#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "lomo/backend/ledger.h"

namespace lomo {

/// A row of a trace: one stream of a rank. What is issued to one runs in that order and overlaps
/// with what the others run.
enum class Track : std::uint8_t {
  compute,
  side,  // what Backend::on_side_stream issues, where it has a stream of its own
  communication,
};
inline constexpr int kTracks = 3;
std::string_view to_string(Track track);

/// When the operations and collectives of one rank ran, recorded while Backend::set_profile has it.
/// Traces are drawn from it. Must outlive the engine's use of it.
class Profile {
 public:
  using Clock = std::chrono::steady_clock;
  using Time = Clock::time_point;

  struct Span {
    std::string_view name;  // of static storage
    Track track = Track::compute;
    bool waits = false;  // for another stream
    Cost cost;
    std::uint64_t exchange = 0;    // the fence of an exchange, or of the one that is waited for
    std::string_view tensor = {};  // which parameter it is about, where somebody says so
    Time issued = {};              // by the host
    Time begin = {}, end = {};     // on its stream; Time() while that is not known
    bool known() const { return end != Time(); }
  };

  // Something is issued now. Its address stays; who runs it says when it began and ended.

  Span& operation(std::string_view name, Cost cost) { return issue(engine_, name, cost); }
  /// The engine's stream waits, for an exchange or (0) for the other.
  Span& wait(std::uint64_t exchange);
  Span& exchange(std::string_view name, Cost cost) {
    return issue(Track::communication, name, cost);
  }
  /// Where operations and waits are issued to from here on.
  void issue_to(Track track) { engine_ = track; }

  /// In the order in which the host issued them.
  std::deque<Span> const& spans() const { return spans_; }

  /// While it lives, what is issued is about this parameter. A null profile is left alone.
  class Scope {
   public:
    Scope(Profile* profile, std::string_view tensor);
    Scope(Scope const&) = delete;  // ends once
    Scope& operator=(Scope const&) = delete;
    ~Scope();

   private:
    Profile* profile_;
    std::string_view before_;
  };

 private:
  Span& issue(Track track, std::string_view name, Cost cost);

  Track engine_ = Track::compute;
  std::deque<Span> spans_;
  std::set<std::string, std::less<>> tensors_;
  std::string_view tensor_;  // what is issued is about it
};

}  // namespace lomo

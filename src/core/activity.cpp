#include "lomo/core/activity.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <utility>

#include "lomo/core/console.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"

namespace lomo {

namespace {

using std::chrono::milliseconds;

constexpr milliseconds kQuiet{2000};
constexpr milliseconds kRedrawEvery{100};
constexpr milliseconds kLineEvery{10000};

double seconds(std::chrono::steady_clock::duration time) {
  return std::chrono::duration<double>(time).count();
}

}  // namespace

Activity::Activity(std::string what, double total, Unit unit, End end)
    : what_(std::move(what)), total_(total), unit_(unit), end_(end), due_(start_ + kQuiet) {}

Activity::~Activity() {
  if (!shown_) return;
  console::status("");
  if (end_ == End::quiet || std::uncaught_exceptions() > 0) return;
  log::info("{}: {} in {}", what_, amount(done_), human_duration(seconds(Clock::now() - start_)));
}

void Activity::advance(double amount) {
  done_ += amount;
  const Clock::time_point now = Clock::now();
  if (now < due_) return;
  shown_ = true;
  due_ = now + (console::can_draw() ? kRedrawEvery : kLineEvery);
  if (console::can_draw()) {
    console::status(line(now));
  } else {
    log::info("{}", line(now));
  }
}

std::string Activity::line(Clock::time_point now) const {
  if (total_ <= 0) return what_ + ": " + amount(done_);
  const double share = std::min(1.0, done_ / total_);
  std::string text = what_ + ": " + human_percent(share) + " of " + amount(total_);
  if (share > 0) text += ", " + human_duration(seconds(now - start_) * (1 / share - 1)) + " left";
  return text;
}

std::string Activity::amount(double of) const {
  return unit_ == Unit::bytes ? human_bytes(static_cast<std::size_t>(of))
                              : human_count(static_cast<std::int64_t>(of));
}

}  // namespace lomo

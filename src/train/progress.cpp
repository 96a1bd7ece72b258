#include "lomo/train/progress.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <cstdio>

#include "lomo/core/console.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "stopwatch.h"

namespace lomo {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLineEvery = 5;      // seconds between lines of the log
constexpr double kRedrawEvery = 0.1;  // seconds between redraws of the bar
constexpr double kRateWeight = 0.1;   // of the newest step in the shown rate
constexpr double kLossWeight = 0.05;
constexpr std::size_t kWidestBar = 20, kNarrowestBar = 5;

std::string fixed(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

/// Of a learning rate: "0.01", "3e-05".
std::string rate(double value) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g", value);
  return text.data();
}

/// A loss in as many digits as people compare.
std::string loss_text(double loss) {
  if (!std::isfinite(loss) || std::abs(loss) >= 1000) return human_number(loss);
  return fixed(loss, 4);
}

std::string step_text(ProgressFigures const& figures) {
  return human_count(figures.done) + "/" + human_count(figures.total);
}

std::string rate_text(ProgressFigures const& figures) {
  return human_count(std::llround(figures.tokens_per_second)) + " tokens/s";
}

std::string mfu_text(ProgressFigures const& figures) {
  return "MFU " + fixed(100 * figures.mfu, 0) + " %";
}

}  // namespace

std::string progress_bar(ProgressFigures const& figures, int columns) {
  const std::size_t room = static_cast<std::size_t>(std::max(columns, 1)) - 1;
  std::string text = step_text(figures) + "  " + clock_time(figures.seconds_left) + " left";
  for (std::string const& part :
       {"loss " + loss_text(figures.smoothed), rate_text(figures), "lr " + rate(figures.lr)}) {
    if (text.size() + 2 + part.size() <= room) text += "  " + part;
  }
  if (figures.mfu > 0 && text.size() + 2 + mfu_text(figures).size() + 3 + kWidestBar <= room) {
    text += "  " + mfu_text(figures);
  }
  const std::string epoch = "  epoch " + fixed(figures.epoch, 2);
  if (text.size() + epoch.size() + 3 + kWidestBar <= room) text += epoch;
  const std::size_t rest = room - std::min(room, text.size() + 3);  // brackets and a blank
  if (rest < kNarrowestBar) return text.substr(0, room);
  const std::size_t width = std::min(rest, kWidestBar);
  const double share = figures.total > 0
                           ? static_cast<double>(figures.done) / static_cast<double>(figures.total)
                           : 1;
  const auto filled =
      static_cast<std::size_t>(std::clamp(share, 0.0, 1.0) * static_cast<double>(width));
  return "[" + std::string(filled, '=') + std::string(width - filled, ' ') + "] " + text;
}

std::string progress_line(ProgressFigures const& figures) {
  return "step " + step_text(figures) + ", epoch " + fixed(figures.epoch, 2) + ", loss " +
         loss_text(figures.loss) + " (smoothed " + loss_text(figures.smoothed) +
         "), gradient norm " + human_number(figures.grad_norm) + ", lr " + rate(figures.lr) + ", " +
         rate_text(figures) + (figures.mfu > 0 ? ", " + mfu_text(figures) : "") + ", " +
         clock_time(figures.seconds_left) + " left";
}

void SmoothedLoss::add(double loss) {
  if (!std::isfinite(loss)) return;
  sum_ += kLossWeight * (loss - sum_);
  weight_ += kLossWeight * (1 - weight_);
}

Progress::Progress(Options const& options, Ledger const& ledger)
    : options_(options),
      ledger_(ledger),
      last_flops_(ledger.flops()),
      last_bar_(Clock::now() - std::chrono::hours(1)),
      last_line_(last_bar_) {}

void Progress::step(StepReport const& report, std::int64_t done, double epoch,
                    double seconds_left) {
  if (report.rounding) rounding_ = report.rounding;
  const double flops = ledger_.flops() - last_flops_;
  last_flops_ = ledger_.flops();
  steps_ += 1;
  if (report.outcome == StepOutcome::applied) {
    tokens_ += report.tokens;
    targets_ += report.targets;
    if (!first_loss_) first_loss_ = report.loss;
    loss_.add(report.loss);
  }
  if (report.outcome == StepOutcome::applied && report.seconds > 0) {
    const auto tokens = static_cast<double>(report.tokens);
    applied_tokens_ += tokens;
    seconds_ += report.seconds;
    flops_ += flops;
    model_flops_ += report.model_flops;
    applied_ += 1;
    const double weight = applied_ == 1 ? 1 : kRateWeight;
    recent_tokens_ += weight * (tokens / report.seconds - recent_tokens_);
    recent_flops_ += weight * (report.model_flops / report.seconds - recent_flops_);
  }
  const bool last = done >= options_.total;
  const bool draws = console::can_draw();
  const bool bar = draws && (last || seconds_since(last_bar_) >= kRedrawEvery);
  const bool line = last || seconds_since(last_line_) >= kLineEvery;
  if (!bar && !line) return;
  const ProgressFigures figures{done,        options_.total, epoch,
                                report.loss, loss_.value(),  report.grad_norm,
                                report.lr,   recent_tokens_, of_peak(recent_flops_),
                                seconds_left};
  if (line) {
    last_line_ = Clock::now();
    draws ? log::to_file(progress_line(figures)) : log::info("{}", progress_line(figures));
  }
  if (bar) {
    last_bar_ = Clock::now();
    console::status(progress_bar(figures, console::columns()));
  }
}

void Progress::pause() {
  last_flops_ = ledger_.flops();
}

void Progress::finish() {
  console::status("");
}

double Progress::tokens_per_second() const {
  return seconds_ > 0 ? applied_tokens_ / seconds_ : 0;
}

double Progress::mfu() const {
  return seconds_ > 0 ? of_peak(model_flops_ / seconds_) : 0;
}

double Progress::hfu() const {
  return seconds_ > 0 ? of_peak(flops_ / seconds_) : 0;
}

double Progress::of_peak(double flops_a_second) const {
  return options_.peak_flops > 0 ? flops_a_second / options_.peak_flops : 0;
}

std::string peak_line(Ledger const& ledger) {
  return "peak memory " + human_bytes(ledger.peak()) + ": " + format_memory(ledger.at_peak());
}

std::string format_memory(CategoryBytes const& bytes) {
  std::string text;
  for (int i = 0; i < kCategories; ++i) {
    const std::size_t held = bytes[static_cast<std::size_t>(i)];
    if (held == 0) continue;
    if (!text.empty()) text += ", ";
    text += std::string(to_string(static_cast<Category>(i))) + " " + human_bytes(held);
  }
  return text.empty() ? "nothing" : text;
}

}  // namespace lomo

#include "lomo/train/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "lomo/core/log.h"
#include "lomo/train/config.h"

namespace lomo {

namespace {

using Clock = std::chrono::steady_clock;
constexpr double kLineEvery = 5;      // seconds between plain lines
constexpr double kRedrawEvery = 0.1;  // seconds between redraws of the bar
constexpr double kSmoothing = 0.1;    // weight of the newest step in the shown rates
constexpr int kBarWidth = 20;

double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

int terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  return 80;
}

template <class... Args>
std::string format(char const* pattern, Args... args) {
  std::array<char, 256> text{};
  std::snprintf(text.data(), text.size(), pattern, args...);
  return text.data();
}

}  // namespace

Progress::Progress(Options const& options, Ledger const& ledger)
    : options_(options),
      ledger_(ledger),
      last_flops_(ledger.flops()),
      last_line_(Clock::now() - std::chrono::hours(1)) {}

void Progress::step(StepReport const& report, std::int64_t done) {
  if (report.rounding) rounding_ = report.rounding;
  const double flops_now = ledger_.flops();
  // Evaluation between two steps also counts on the ledger; `clear` moves the mark past it.
  const double flops = flops_now - last_flops_;
  last_flops_ = flops_now;
  if (report.outcome == StepOutcome::applied && report.seconds > 0) {
    tokens_ += static_cast<double>(report.tokens);
    seconds_ += report.seconds;
    flops_ += flops;
    steps_ += 1;
    const double weight = steps_ == 1 ? 1 : kSmoothing;
    recent_tokens_ +=
        weight * (static_cast<double>(report.tokens) / report.seconds - recent_tokens_);
    recent_flops_ += weight * (flops / report.seconds - recent_flops_);
  }
  const bool last = done >= options_.total;
  if (!last && since(last_line_) < (options_.terminal ? kRedrawEvery : kLineEvery)) return;
  last_line_ = Clock::now();
  std::string text = line(report, done);
  if (!options_.terminal) {
    log::info("{}", text);
    return;
  }
  const int filled =
      options_.total > 0 ? static_cast<int>(kBarWidth * done / options_.total) : kBarWidth;
  text = "[" + std::string(static_cast<std::size_t>(filled), '=') +
         std::string(static_cast<std::size_t>(kBarWidth - filled), ' ') + "] " + text;
  const auto columns = static_cast<std::size_t>(terminal_columns());
  if (text.size() >= columns) text.resize(columns - 1);
  std::fprintf(stderr, "\r\033[K%s", text.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

void Progress::clear() {
  last_flops_ = ledger_.flops();
  if (!drawn_) return;
  std::fputs("\r\033[K", stderr);
  std::fflush(stderr);
  drawn_ = false;
}

double Progress::peak_share() const {
  return options_.peak_flops > 0 && seconds_ > 0 ? flops_ / seconds_ / options_.peak_flops : 0;
}

double Progress::eta(std::int64_t done) const {
  if (steps_ == 0) return 0;
  return seconds_ / static_cast<double>(steps_) * static_cast<double>(options_.total - done);
}

std::string Progress::line(StepReport const& report, std::int64_t done) const {
  std::string text = format("step %lld/%lld  loss %.4f  norm %.3g  lr %.2e  %.0f tok/s",
                            static_cast<long long>(done), static_cast<long long>(options_.total),
                            report.loss, report.grad_norm, report.lr, recent_tokens_);
  if (options_.peak_flops > 0) {
    text += format("  %.0f%% of peak", 100 * recent_flops_ / options_.peak_flops);
  }
  if (report.loss_scale != 1) text += format("  scale %g", report.loss_scale);
  if (rounding_) {
    text += format("  changed %.2g%% realised %.2g%%", 100 * rounding_->changed,
                   100 * rounding_->realised);
  }
  text += "  ETA " + format_duration(eta(done));
  text += "  " + format_memory(ledger_.peak_by_category());
  return text;
}

std::string format_duration(double seconds) {
  const auto total = static_cast<long long>(std::llround(std::max(0.0, seconds)));
  if (total >= 3600) return format("%lld:%02lld:%02lld", total / 3600, total / 60 % 60, total % 60);
  return format("%lld:%02lld", total / 60, total % 60);
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

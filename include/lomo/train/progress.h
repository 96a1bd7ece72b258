#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lomo/backend/ledger.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// Shows a run: on a terminal one line that is drawn again, else a plain log line every few
/// seconds.
class Progress {
 public:
  struct Options {
    std::int64_t total = 0;  // steps of the run
    double peak_flops = 0;   // of measure_gemm_peak; 0: share not shown
    bool terminal = false;
  };
  Progress(Options const& options, Ledger const& ledger);

  /// After each step; `done` counts the batches of the run so far.
  void step(StepReport const& report, std::int64_t done);
  /// Takes the bar away, so that a log line can be written.
  void clear();

  /// Over the steps this object has seen.
  double tokens_per_second() const { return seconds_ > 0 ? tokens_ / seconds_ : 0; }
  double peak_share() const;

 private:
  std::string line(StepReport const& report, std::int64_t done) const;
  double eta(std::int64_t done) const;

  Options options_;
  Ledger const& ledger_;
  double last_flops_;
  double tokens_ = 0, seconds_ = 0, flops_ = 0;
  std::int64_t steps_ = 0;
  double recent_tokens_ = 0, recent_flops_ = 0;  // a second, smoothed
  std::optional<RoundingReport> rounding_;       // the last one measured
  bool drawn_ = false;
  std::chrono::steady_clock::time_point last_line_;
};

/// "1:02:03" or "4:05".
std::string format_duration(double seconds);
/// "weights 4.0 MiB, activations 12.0 MiB", categories that hold nothing left out.
std::string format_memory(CategoryBytes const& bytes);
/// "peak memory 1.2 GiB: weights 1 GiB ..."
std::string peak_line(Ledger const& ledger);

}  // namespace lomo

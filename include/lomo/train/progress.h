#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "lomo/backend/ledger.h"
#include "lomo/train/trainer.h"

namespace lomo {

/// What is shown of a step.
struct ProgressFigures {
  std::int64_t done = 0, total = 0;  // steps of the run
  double epoch = 0;                  // passes over the data so far
  double loss = 0, smoothed = 0;     // of this step, and of the last ones
  double grad_norm = 0, lr = 0;
  double tokens_per_second = 0;
  double mfu = 0;  // of the last steps; 0: not known
  double seconds_left = 0;
};
/// A bar, and as much behind it as `columns` have room for.
std::string progress_bar(ProgressFigures const& figures, int columns);
/// A line of the log.
std::string progress_line(ProgressFigures const& figures);

/// A mean of losses in which the newest counts a twentieth; of fewer than twenty, about the mean of
/// all. Losses that are not finite are left out.
class SmoothedLoss {
 public:
  void add(double loss);
  /// 0 before the first.
  double value() const { return weight_ > 0 ? sum_ / weight_ : 0; }

 private:
  double sum_ = 0, weight_ = 0;
};

/// Shows a run: a bar on a terminal that can draw, and every few seconds a line in the log. Where
/// the terminal has the bar, that line goes to the log file only.
class Progress {
 public:
  struct Options {
    std::int64_t total = 0;  // steps of the run
    double peak_flops = 0;   // of measure_gemm_peak; 0: share not known
  };
  Progress(Options const& options, Ledger const& ledger);

  /// After each step; `done` counts the batches of the run so far, `epoch` is where it is in its
  /// data, and the rest of it will take `seconds_left`.
  void step(StepReport const& report, std::int64_t done, double epoch, double seconds_left);
  /// Before work between two steps, which counts on the ledger too.
  void pause();
  /// Takes the bar away.
  void finish();

  // Over the steps this object has seen.
  std::int64_t steps() const { return steps_; }
  std::int64_t tokens() const { return tokens_; }
  std::int64_t targets() const { return targets_; }
  double tokens_per_second() const;
  /// Flops a second over the measured peak of products, 0 where that is not known: those that the
  /// model needs (see model_flops.h), and those that were computed, recomputation and norm passes
  /// included.
  double mfu() const;
  double hfu() const;
  std::optional<double> first_loss() const { return first_loss_; }
  double smoothed_loss() const { return loss_.value(); }
  std::optional<RoundingReport> rounding() const { return rounding_; }  // the last one measured

 private:
  double of_peak(double flops_a_second) const;

  Options options_;
  Ledger const& ledger_;
  double last_flops_;
  double seconds_ = 0, flops_ = 0, model_flops_ = 0;
  std::int64_t steps_ = 0, applied_ = 0, tokens_ = 0, targets_ = 0;
  double applied_tokens_ = 0;
  double recent_tokens_ = 0, recent_flops_ = 0;  // a second, smoothed; those of the model
  SmoothedLoss loss_;
  std::optional<double> first_loss_;
  std::optional<RoundingReport> rounding_;
  std::chrono::steady_clock::time_point last_bar_, last_line_;
};

/// "weights 4.0 MiB, activations 12.0 MiB", categories that hold nothing left out.
std::string format_memory(CategoryBytes const& bytes);
/// "peak memory 1.2 GiB: weights 1 GiB ..."
std::string peak_line(Ledger const& ledger);

}  // namespace lomo

#include "lomo/train/progress.h"

#include <cmath>
#include <limits>
#include <string>

#include "support/catch.h"
#include "support/errors.h"

using namespace lomo;
using test::contains;

namespace {

ProgressFigures usual() {
  ProgressFigures figures;
  figures.done = 12;
  figures.total = 240;
  figures.epoch = 0.05;
  figures.loss = 2.5;
  figures.smoothed = 2.13456;
  figures.grad_norm = 0.731;
  figures.lr = 0.01;
  figures.tokens_per_second = 12345.6;
  figures.seconds_left = 754;
  return figures;
}

}  // namespace

TEST_CASE("a bar fits 80 columns with all that matters, whatever the numbers") {
  const std::string line = progress_bar(usual(), 80);
  INFO(line);
  CHECK(line ==
        "[" + std::string(19, ' ') + "] 12/240  12:34 left  loss 2.1346  12,346 tokens/s  lr 0.01");
  ProgressFigures large = usual();
  large.done = 1234567;
  large.total = 9876543;
  large.smoothed = 123456.789;
  large.lr = 1.234e-05;
  large.tokens_per_second = 1234567;
  large.seconds_left = 99 * 3600;
  const std::string wide = progress_bar(large, 80);
  INFO(wide);
  CHECK(wide.size() < 80);
  CHECK(contains(wide, "1,234,567/9,876,543  99:00:00 left  loss 123,457  1,234,567 tokens/s"));
}

TEST_CASE("a bar never fills the last column, and keeps step and time where there is little room") {
  for (int columns = 1; columns < 200; ++columns) {
    INFO(columns);
    CHECK(progress_bar(usual(), columns).size() < static_cast<std::size_t>(columns));
  }
  CHECK(contains(progress_bar(usual(), 24), "12/240  12:34 left"));
  CHECK(contains(progress_bar(usual(), 120), "[=                   ] 12/240"));
  CHECK(contains(progress_bar(usual(), 120), "  lr 0.01  epoch 0.05"));
  ProgressFigures done = usual();
  done.done = done.total;
  CHECK(contains(progress_bar(done, 120), "[====================] 240/240"));
}

TEST_CASE("numbers that are none do not break a line") {
  ProgressFigures figures = usual();
  figures.loss = figures.smoothed = -std::nan("");
  figures.grad_norm = std::numeric_limits<double>::infinity();
  CHECK(contains(progress_bar(figures, 80), "loss nan  "));
  CHECK(contains(progress_line(figures), "loss nan (smoothed nan), gradient norm inf, "));
  CHECK(progress_line(usual()) ==
        "step 12/240, epoch 0.05, loss 2.5000 (smoothed 2.1346), gradient norm 0.731, lr 0.01, "
        "12,346 tokens/s, 12:34 left");
}

TEST_CASE("where the peak is known, MFU is shown") {
  ProgressFigures figures = usual();
  figures.mfu = 0.4049;
  CHECK(contains(progress_line(figures), "12,346 tokens/s, MFU 40 %, 12:34 left"));
  CHECK(contains(progress_bar(figures, 120), "  lr 0.01  MFU 40 %  epoch 0.05"));
  CHECK(progress_bar(figures, 80) == progress_bar(usual(), 80));  // the bar is worth more
}

TEST_CASE("a smoothed loss is a mean that follows, and takes no value that is not finite") {
  SmoothedLoss loss;
  CHECK(loss.value() == 0);
  loss.add(4);
  CHECK(loss.value() == Approx(4));
  loss.add(2);
  CHECK(loss.value() == Approx((0.95 * 4 + 2) / 1.95));
  loss.add(std::nan(""));
  loss.add(std::numeric_limits<double>::infinity());
  CHECK(loss.value() == Approx((0.95 * 4 + 2) / 1.95));
  for (int i = 0; i < 400; ++i) loss.add(1);
  CHECK(loss.value() == Approx(1).epsilon(1e-6));
}

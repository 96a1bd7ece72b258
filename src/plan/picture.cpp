#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <vector>

#include "lomo/core/text.h"
#include "lomo/plan/report.h"
#include "lomo/plan/step_time.h"
#include "text.h"

namespace lomo {

namespace {

constexpr std::size_t kMoments = 1100;  // one a pixel
constexpr double kWidth = 1100, kLeft = 80, kTop = 26, kBelow = 34;
constexpr std::array<char const*, kCategories> kColours{"#4e79a7", "#e15759", "#f28e2b",
                                                        "#76b7b2", "#b07aa1", "#9c755f"};
constexpr double kKib = 1u << 10;

std::string number(double x) {
  return format("%.2f", x);
}

std::string escaped(std::string const& text) {
  std::string out;
  for (const char c : text) {
    out += c == '<' ? "&lt;" : c == '&' ? "&amp;" : std::string(1, c);
  }
  return out;
}

std::size_t total(CategoryBytes const& held) {
  std::size_t sum = 0;
  for (const std::size_t bytes : held) sum += bytes;
  return sum;
}

/// 1, 2 or 5 times a power of ten: at least `minimum`.
double round_step(double minimum) {
  const double power = std::pow(10, std::floor(std::log10(minimum)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (step * power >= minimum) return step * power;
  }
  return 10 * power;
}

/// An axis with about five marks at round values.
struct Axis {
  double unit = 1;  // of the marks, in what is drawn
  char const* name = "";
  double step = 1;  // between marks, in units
  static Axis of_bytes(double maximum) {
    Axis axis{maximum >= kGib   ? kGib
              : maximum >= kMib ? kMib
                                : kKib,
              maximum >= kGib   ? "GiB"
              : maximum >= kMib ? "MiB"
                                : "KiB"};
    axis.step = round_step(maximum / axis.unit / 5);
    return axis;
  }
  static Axis of_seconds(double maximum) {
    Axis axis{maximum >= 1      ? 1
              : maximum >= 1e-3 ? 1e-3
                                : 1e-6,
              maximum >= 1      ? "s"
              : maximum >= 1e-3 ? "ms"
                                : "us"};
    axis.step = round_step(maximum / axis.unit / 5);
    return axis;
  }
  /// Calls use(value, label) for each mark up to `maximum`.
  template <class F>
  void marks(double maximum, F const& use) const {
    for (int i = 0; i * step * unit <= maximum; ++i) {
      use(i * step * unit, format("%g %s", i * step, name));
    }
  }
};

/// One stacked chart of the categories from `first` on.
std::string chart(std::vector<CategoryBytes> const& samples, std::size_t first, double seconds,
                  double height, double limit) {
  std::vector<std::size_t> below(samples.size(), 0);
  std::size_t peak = 1;
  for (CategoryBytes held : samples) {
    std::fill_n(held.begin(), first, 0);
    peak = std::max(peak, total(held));
  }
  const bool limited = limit > 0 && limit < 1.5 * static_cast<double>(peak);
  const double top = 1.04 * std::max(static_cast<double>(peak), limited ? limit : 0);
  const auto x = [&](std::size_t i) {
    return number(kLeft + kWidth * static_cast<double>(i) / static_cast<double>(samples.size()));
  };
  const auto y = [&](double bytes) { return number(kTop + height * (1 - bytes / top)); };

  std::string svg = "<svg viewBox=\"0 0 1200 " + number(kTop + height + kBelow) + "\">\n";
  for (std::size_t c = first; c < kCategories; ++c) {
    std::string upper, lower;
    std::size_t maximum = 0;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const std::size_t bytes = samples[i][c];
      maximum = std::max(maximum, bytes);
      const std::string base = y(static_cast<double>(below[i]));
      const std::string roof = y(static_cast<double>(below[i] + bytes));
      upper += x(i) + "," + roof + " " + x(i + 1) + "," + roof + " ";
      lower = x(i + 1) + "," + base + " " + x(i) + "," + base + " " + lower;
      below[i] += bytes;
    }
    if (maximum == 0) continue;
    svg += "<polygon fill=\"" + std::string(kColours[c]) + "\" points=\"" + upper + lower +
           "\"><title>" + std::string(to_string(static_cast<Category>(c))) + ", at most " +
           human_bytes(maximum) + "</title></polygon>\n";
  }
  const std::string left = number(kLeft), right = number(kLeft + kWidth);
  const auto line = [&](double bytes, std::string const& kind) {
    svg += "<line class=\"" + kind + "\" x1=\"" + left + "\" x2=\"" + right + "\" y1=\"" +
           y(bytes) + "\" y2=\"" + y(bytes) + "\"/>\n";
  };
  const auto text = [&](std::string const& at_x, std::string const& at_y, char const* anchor,
                        std::string const& words) {
    svg += "<text x=\"" + at_x + "\" y=\"" + at_y + "\" text-anchor=\"" + anchor + "\" dy=\"4\">" +
           words + "</text>\n";
  };
  Axis::of_bytes(top).marks(top, [&](double bytes, std::string const& label) {
    line(bytes, "grid");
    text(number(kLeft - 8), y(bytes), "end", label);
  });
  Axis::of_seconds(seconds).marks(seconds, [&](double at, std::string const& label) {
    text(number(kLeft + kWidth * at / seconds), number(kTop + height + 18), "middle", label);
  });
  const auto marked = [&](double bytes, std::string const& kind, std::string const& words) {
    line(bytes, kind);
    text(right, number(kTop + height * (1 - bytes / top) - 10), "end", words);
  };
  marked(static_cast<double>(peak), "peak", "peak " + human_bytes(peak));
  if (limited) marked(limit, "limit", "limit " + human_bytes(static_cast<std::size_t>(limit)));
  return svg + "</svg>\n";
}

std::string row(std::string const& name, std::size_t bytes, std::string const& tag) {
  const auto cell = [&](std::string const& text) {
    return "<" + tag + ">" + text + "</" + tag + ">";
  };
  return "<tr>" + cell(name) + cell(human_bytes(bytes)) + cell(std::to_string(bytes)) + "</tr>\n";
}

constexpr char const* kStyle =
    "body{font:15px sans-serif;max-width:1240px;margin:2em auto;color:#222}svg{width:100%}"
    "svg text{font-size:13px;fill:#444}.grid{stroke:#0002}.peak{stroke:#222;stroke-dasharray:4 4}"
    ".limit{stroke:#c00;stroke-width:2}span{margin-right:1.5em}"
    "i{display:inline-block;width:.9em;height:.9em;margin-right:.4em}"
    "td,th{padding:.15em 1.5em .15em 0;text-align:right}"
    "td:first-child,th:first-child{text-align:left}";

}  // namespace

std::vector<CategoryBytes> memory_over_time(Plan const& plan, DType type,
                                            DeviceProfile const& device, std::size_t moments) {
  const double all = std::max(expected_time(plan, type, device).seconds, 1e-12);
  std::vector<CategoryBytes> samples(moments);
  CategoryBytes held{};
  StepClock clock(type, device);
  const auto moment = [&] {
    const double at = clock.now() / all * static_cast<double>(moments);
    return std::min(moments - 1, static_cast<std::size_t>(at));
  };
  const auto note = [&](std::size_t at) {
    if (total(samples[at]) <= total(held)) samples[at] = held;
  };
  auto const& events = plan.log.events();
  for (std::size_t i = 0; i < events.size(); ++i) {
    EventLog::Event const& e = events[i];
    const auto c = static_cast<std::size_t>(e.category);
    if (e.kind == EventLog::Kind::allocated) held[c] += e.bytes;
    if (e.kind == EventLog::Kind::freed) held[c] -= e.bytes;
    if (i < plan.step_begins) continue;
    const std::size_t from = moment();
    note(from);
    clock.pass(e);
    for (std::size_t at = from; at <= moment(); ++at) note(at);
  }
  for (std::size_t at = moment(); at < moments; ++at) note(at);  // what only exchanges fill
  return samples;
}

std::string plan_picture(Plan const& plan, DType type, DeviceProfile const& device,
                         std::string const& name_of_plan, std::size_t limit) {
  const std::vector<CategoryBytes> samples = memory_over_time(plan, type, device, kMoments);
  const double seconds = std::max(expected_time(plan, type, device).seconds, 1e-12);
  const std::string title = escaped(name_of_plan);
  std::string legend, rows;
  for (std::size_t c = 0; c < kCategories; ++c) {
    std::size_t maximum = 0;
    for (CategoryBytes const& held : samples) maximum = std::max(maximum, held[c]);
    const std::string name(to_string(static_cast<Category>(c)));
    if (maximum > 0) {
      legend += "<span><i style=\"background:" + std::string(kColours[c]) + "\"></i>" + name +
                ", at most <b>" + human_bytes(maximum) + "</b></span>\n";
    }
    if (plan.at_peak[c] > 0) rows += row(name, plan.at_peak[c], "td");
  }
  rows += row("peak of the run, in the " + plan.phase, plan.peak, "th");
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + title +
         "</title>\n<style>" + kStyle + "</style></head><body>\n<h2>" + title +
         "</h2>\n<p>Memory of one training step of " + std::to_string(plan.step.tokens) +
         " tokens, by category, over its modelled time on " + escaped(device.name) + ".</p>\n<p>" +
         legend + "</p>\n" + chart(samples, 0, seconds, 300, static_cast<double>(limit)) +
         "<p>The same without the weights.</p>\n" + chart(samples, 1, seconds, 220, 0) +
         "<table><tr><th>at the peak</th><th></th><th>bytes</th></tr>\n" + rows +
         "</table>\n</body></html>\n";
}

}  // namespace lomo

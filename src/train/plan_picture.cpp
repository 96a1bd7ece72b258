#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <vector>

#include "lomo/train/plan_report.h"

namespace lomo {

namespace {

constexpr double kWidth = 1100, kHeight = 420, kLeft = 80, kTop = 20;
constexpr std::array<char const*, kCategories> kColours{"#4e79a7", "#e15759", "#f28e2b",
                                                        "#76b7b2", "#b07aa1", "#9c755f"};

std::string number(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.2f", x);
  return text.data();
}

std::string seconds(double x) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.3g s", x);
  return text.data();
}

std::string escaped(std::string const& text) {
  std::string out;
  for (const char c : text) {
    if (c == '<') {
      out += "&lt;";
    } else if (c == '&') {
      out += "&amp;";
    } else {
      out += c;
    }
  }
  return out;
}

/// Memory over time: what each category holds from `seconds` on.
struct Sample {
  double seconds = 0;
  CategoryBytes held{};
  std::size_t total() const {
    std::size_t sum = 0;
    for (const std::size_t bytes : held) sum += bytes;
    return sum;
  }
};

/// One sample a moment: the largest sum of those that fall into it, so that no peak is lost.
std::vector<Sample> sample(Plan const& plan, DType type, DeviceProfile const& device) {
  constexpr std::size_t kMoments = 1100;  // one a pixel
  const double all = std::max(expected_time(plan, type, device).seconds, 1e-12);
  std::vector<Sample> samples(kMoments);
  CategoryBytes held{};
  double now = 0;
  auto const& events = plan.trace.events();
  for (std::size_t i = 0; i < events.size(); ++i) {
    Trace::Event const& e = events[i];
    const auto c = static_cast<std::size_t>(e.category);
    if (e.kind == Trace::Kind::allocated) held[c] += e.bytes;
    if (e.kind == Trace::Kind::freed) held[c] -= e.bytes;
    if (i < plan.step_begins) continue;
    const auto moment = [&] {
      return std::min(kMoments - 1, static_cast<std::size_t>(now / all * kMoments));
    };
    const auto note = [&](std::size_t at) {
      const Sample current{now, held};
      if (samples[at].total() <= current.total()) samples[at].held = held;
    };
    note(moment());
    if (e.kind == Trace::Kind::op) {
      const std::size_t from = moment();
      now += expected_seconds(plan.trace.name(e.name), e.cost, type, device);
      for (std::size_t at = from; at <= moment(); ++at) note(at);
    }
  }
  for (std::size_t i = 0; i < kMoments; ++i) {
    samples[i].seconds = all * static_cast<double>(i) / kMoments;
  }
  return samples;
}

std::string label(std::size_t bytes) {
  return human_bytes(bytes);
}

}  // namespace

std::string plan_picture(Plan const& plan, DType type, DeviceProfile const& device,
                         std::string const& name_of_plan) {
  const std::string title = escaped(name_of_plan);
  const std::vector<Sample> samples = sample(plan, type, device);
  std::size_t top = 1;
  for (Sample const& s : samples) top = std::max(top, s.total());
  const double all = expected_time(plan, type, device).seconds;
  const auto x = [&](std::size_t i) {
    return kLeft + kWidth * static_cast<double>(i) / static_cast<double>(samples.size());
  };
  const auto y = [&](std::size_t bytes) {
    return kTop + kHeight * (1 - static_cast<double>(bytes) / (1.05 * static_cast<double>(top)));
  };

  std::string svg;
  std::vector<std::size_t> below(samples.size(), 0);
  std::string legend;
  for (std::size_t c = 0; c < kCategories; ++c) {
    std::size_t most = 0;
    std::string upper, lower;
    for (std::size_t i = 0; i < samples.size(); ++i) {
      const std::size_t bytes = samples[i].held[c];
      most = std::max(most, bytes);
      const std::string left = number(x(i)), right = number(x(i + 1));
      const std::string base = number(y(below[i])), roof = number(y(below[i] + bytes));
      upper += left + "," + roof + " " + right + "," + roof + " ";
      lower = right + "," + base + " " + left + "," + base + " " + lower;
      below[i] += bytes;
    }
    if (most == 0) continue;
    const std::string name(to_string(static_cast<Category>(c)));
    svg += "<polygon fill=\"" + std::string(kColours[c]) + "\" points=\"" + upper + lower +
           "\"><title>" + name + ", at most " + label(most) + "</title></polygon>\n";
    legend += "<span><i style=\"background:" + std::string(kColours[c]) + "\"></i>" + name +
              " <b>" + label(most) + "</b></span>\n";
  }
  for (int tick = 0; tick <= 4; ++tick) {
    const std::size_t bytes = top * static_cast<std::size_t>(tick) / 4;
    const std::string at = number(y(bytes));
    svg += "<line x1=\"" + number(kLeft) + "\" x2=\"" + number(kLeft + kWidth) + "\" y1=\"" + at +
           "\" y2=\"" + at + "\"/><text x=\"" + number(kLeft - 8) + "\" y=\"" + at +
           "\" text-anchor=\"end\" dy=\"4\">" + label(bytes) + "</text>\n";
    svg += "<text x=\"" + number(kLeft + kWidth * tick / 4) + "\" y=\"" +
           number(kTop + kHeight + 20) + "\" text-anchor=\"middle\">" + seconds(all * tick / 4) +
           "</text>\n";
  }
  std::string rows;
  for (std::size_t c = 0; c < kCategories; ++c) {
    if (plan.at_peak[c] == 0) continue;
    rows += "<tr><td>" + std::string(to_string(static_cast<Category>(c))) + "</td><td>" +
            label(plan.at_peak[c]) + "</td><td>" + std::to_string(plan.at_peak[c]) + "</td></tr>\n";
  }
  rows += "<tr><th>peak, in the " + plan.phase + "</th><th>" + label(plan.peak) + "</th><th>" +
          std::to_string(plan.peak) + "</th></tr>\n";
  return "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>" + title +
         "</title>\n<style>body{font:15px sans-serif;max-width:1240px;margin:2em auto;color:#222}"
         "svg text{font-size:13px;fill:#444}svg line{stroke:#0002}span{margin-right:1.5em}"
         "i{display:inline-block;width:.9em;height:.9em;margin-right:.4em}"
         "td,th{padding:.15em 1.5em .15em 0;text-align:right}td:first-child,th:first-child"
         "{text-align:left}</style></head><body>\n<h2>" +
         title + "</h2>\n<p>Memory of one training step of " + std::to_string(plan.step.tokens) +
         " tokens, by category, over its modelled time on " + device.name + ".</p>\n<p>" + legend +
         "</p>\n<svg viewBox=\"0 0 1200 470\" width=\"100%\">\n" + svg +
         "</svg>\n<table><tr><th>at the peak</th><th></th><th>bytes</th></tr>\n" + rows +
         "</table>\n</body></html>\n";
}

}  // namespace lomo

#include "chrome_trace.h"

#include <array>
#include <chrono>
#include <cstdio>

#include "lomo/io/json.h"

namespace lomo::chrome_trace {

namespace {

/// Viewers want threads of all processes to differ, and take one with its process's id for main.
int thread_of_steps(int rank) {
  return 10 * (rank + 1);
}
int thread_of(int rank, Track track) {
  return thread_of_steps(rank) + 1 + static_cast<int>(track);
}

template <class... Args>
void append(std::string& text, char const* pattern, Args... args) {
  std::array<char, 512> line{};
  std::snprintf(line.data(), line.size(), pattern, args...);
  text += line.data();
}

void name_thread(std::string& text, int rank, int thread, std::string_view name) {
  append(text, R"(,
{"ph":"M","name":"thread_name","pid":%d,"tid":%d,"args":{"name":"%s"}},
{"ph":"M","name":"thread_sort_index","pid":%d,"tid":%d,"args":{"sort_index":%d}})",
         rank, thread, std::string(name).c_str(), rank, thread, thread);
}

}  // namespace

std::string head(int ranks) {
  std::string text = R"({"displayTimeUnit":"ms","traceEvents":[)";
  for (int rank = 0; rank < ranks; ++rank) {
    append(text, R"(%s
{"ph":"M","name":"process_name","pid":%d,"args":{"name":"rank %d"}},
{"ph":"M","name":"process_sort_index","pid":%d,"args":{"sort_index":%d}})",
           rank == 0 ? "" : ",", rank, rank, rank, rank);
    name_thread(text, rank, thread_of_steps(rank), "steps");
    for (int track = 0; track < kTracks; ++track) {
      name_thread(text, rank, thread_of(rank, static_cast<Track>(track)),
                  to_string(static_cast<Track>(track)));
    }
  }
  return text;
}

std::string Events::next(std::size_t bytes) {
  std::string text;
  for (; text.size() < bytes && step_ < steps_.size(); ++step_) add(text, steps_[step_]);
  for (; text.size() < bytes && event_ < events_.size(); ++event_) {
    if (events_[event_].timed()) add(text, events_[event_]);
  }
  return text;
}

void Events::add(std::string& text, RecordedStep const& step) const {
  append(text, R"(,
{"ph":"X","pid":%d,"tid":%d,"name":"step %lld","ts":%.3f,"dur":%.3f})",
         rank_, thread_of_steps(rank_), static_cast<long long>(step.number),
         microseconds(step.begin), microseconds(step.end) - microseconds(step.begin));
}

void Events::add(std::string& text, EventLog::Event const& event) const {
  append(text, R"(,
{"ph":"X","pid":%d,"tid":%d,"name":"%s","ts":%.3f,"dur":%.3f,"args":{"issued":%.3f)",
         rank_, thread_of(rank_, event.track), std::string(event.name).c_str(),
         microseconds(event.begin), microseconds(event.end) - microseconds(event.begin),
         microseconds(event.issued));
  const auto figure = [&](char const* name, double value) {
    if (value != 0) append(text, R"(,"%s":%.0f)", name, value);
  };
  figure("flops", event.cost.flops);
  figure("bytes", event.cost.bytes);
  figure("sent", event.cost.sent);
  figure("received", event.cost.received);
  if (event.kind != EventLog::Kind::join) figure("exchange", static_cast<double>(event.fence));
  if (!event.tensor.empty()) text += ",\"tensor\":" + Json(event.tensor).dump();
  text += "}}";
}

double Events::microseconds(EventLog::Time time) const {
  return std::chrono::duration<double, std::micro>(time - origin_).count();
}

}  // namespace lomo::chrome_trace

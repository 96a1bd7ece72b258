#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string_view>

#include "lomo/plan/device_profile.h"
#include "lomo/plan/plan.h"

namespace lomo {

/// A model, not a measurement. Each operation takes as long as its products at the profile's rate
/// or its bytes at the profile's bandwidth, whichever is longer, and each exchange as long as what
/// this rank sends or receives at the profile's link, whichever is more. On each stream (compute,
/// the second one, communication) one follows the other; what is issued starts after what it was
/// issued after, and streams wait for each other where the trainer has them wait. Together they do
/// no more than the device's rates. Nothing else takes time.
struct ExpectedTime {
  double seconds = 0;  // of the planned step: until all streams are done
  double compute = 0;  // of operations whose products take longer than their bytes
  double memory = 0;   // of the others
  double link = 0;     // of exchanges
  /// What takes longest: "compute", "memory bandwidth" or "the link".
  std::string_view bound() const;
};

/// The clock of such a step.
class StepClock {
 public:
  StepClock(DType type, DeviceProfile const& device);
  void pass(EventLog::Event const& event);
  /// Where the compute stream stands.
  double now() const { return now_[0]; }
  ExpectedTime time() const;

 private:
  void operate(EventLog::Event const& event);
  void exchange(EventLog::Event const& event);

  DType type_;
  DeviceProfile const& device_;
  std::array<double, 2> now_{};                // of the compute stream and the second one
  std::size_t queue_ = 0;                      // which of them is issued to
  double link_free_ = 0;                       // when the communication stream is done
  double products_ = 0, bytes_ = 0;            // seconds of all, whatever they run beside
  std::map<std::uint64_t, double> exchanged_;  // ends by fence,
  std::map<std::uint64_t, double> done_;       // of what was issued beside too
  ExpectedTime time_;
};

/// Of the planned step.
ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& device);
/// Of one operation.
double expected_seconds(std::string_view op, Cost cost, DType type, DeviceProfile const& device,
                        bool* compute_bound = nullptr);

}  // namespace lomo

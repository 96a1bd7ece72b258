#pragma once
#include <cstdint>
#include <map>
#include <string_view>

#include "lomo/plan/device_profile.h"
#include "lomo/plan/plan.h"

namespace lomo {

/// A model, not a measurement. Each operation takes as long as its products at the profile's rate
/// or its bytes at the profile's bandwidth, whichever is longer, one after the other; each exchange
/// as long as what this rank sends or receives at the profile's link, whichever is more, one after
/// the other beside them: it starts after what was computed before it was issued, and what waits
/// for it starts after it. Nothing else takes time.
struct ExpectedTime {
  double seconds =
      0;  // of the planned step: the next three, and what only exchanges fill at its end
  double compute = 0;  // where products were the longer
  double memory = 0;   // and where bytes were
  double waited = 0;   // nothing was computed until an exchange was done
  double link = 0;     // exchanges, most of it beside the rest
  /// What takes longest: "compute", "memory bandwidth" or "the link".
  std::string_view bound() const;
};

/// The clock of such a step.
class StepClock {
 public:
  StepClock(Trace const& trace, DType type, DeviceProfile const& device);
  void pass(Trace::Event const& event);
  /// Where the compute queue stands.
  double now() const { return now_; }
  ExpectedTime time() const;

 private:
  Trace const& trace_;
  DType type_;
  DeviceProfile const& device_;
  double now_ = 0;                        // of the compute queue
  double link_free_ = 0;                  // of the communication queue
  std::map<std::uint64_t, double> ends_;  // of exchanges, by ticket
  ExpectedTime time_;
};

/// Of the planned step.
ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& device);
/// Of one operation.
double expected_seconds(std::string_view op, Cost cost, DType type, DeviceProfile const& device,
                        bool* compute_bound = nullptr);

}  // namespace lomo

#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

#include "lomo/backend/backend.h"
#include "lomo/plan/plan.h"

namespace lomo {

/// How fast a device is at most.
struct DeviceProfile {
  std::string name;
  std::size_t memory = 0;             // bytes; 0: not known
  double bf16 = 0, f16 = 0, f32 = 0;  // flops a second of matrix products, by operand type
  double bandwidth = 0;               // bytes a second of its memory
  double products(DType type) const;
};

/// Reads a profile: name, memory, products (flops a second by type), bandwidth (bytes a second) and
/// the source of each figure; see configs/devices. Throws Error(Exit::usage) naming the key.
DeviceProfile read_device_profile(std::filesystem::path const& file);

/// The rates of the machine itself, measured on `backend` in about a second. Blocks.
DeviceProfile measure_device(Backend& backend, DType type);

/// A model, not a measurement: each operation takes as long as its products at the profile's rate
/// or its bytes at the profile's bandwidth, whichever is longer, and nothing else takes time.
struct ExpectedTime {
  double seconds = 0;  // of the planned step
  double compute = 0;  // of these, where products were the longer
  double memory = 0;   // and where bytes were
};
ExpectedTime expected_time(Plan const& plan, DType type, DeviceProfile const& profile);
/// Of one operation.
double expected_seconds(std::string const& op, Cost cost, DType type, DeviceProfile const& profile,
                        bool* compute_bound = nullptr);

}  // namespace lomo

#pragma once
#include <cstddef>
#include <filesystem>
#include <string>

#include "lomo/backend/backend.h"

namespace lomo {

/// How fast a device is at most.
struct DeviceProfile {
  std::string name;
  std::size_t memory = 0;             // bytes; 0: not known
  double bf16 = 0, f16 = 0, f32 = 0;  // flops a second of matrix products, by operand type
  double bandwidth = 0;               // bytes a second of its memory
  double link = 0;       // bytes a second each way between devices, both at once; 0: not known
  double attention = 0;  // flops a second of attention, where it is not that of products; else 0
  double products(DType type) const;
};

/// Reads a profile: name, memory, products (flops a second by type), bandwidth and link (bytes a
/// second) and the source of each figure; see configs/devices. Throws Error(Exit::usage) naming the
/// key.
DeviceProfile read_device_profile(std::filesystem::path const& file);

/// The rates of the machine itself, measured on `backend` in about a second. Blocks.
DeviceProfile measure_device(Backend& backend, DType type);

}  // namespace lomo

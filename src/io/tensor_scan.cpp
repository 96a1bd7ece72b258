#include "lomo/io/tensor_scan.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <type_traits>

#include "lomo/io/hash.h"

namespace lomo {

namespace {

constexpr std::size_t kScanBlock = std::size_t{1} << 20;  // a multiple of every element's size

/// The value of the bits of a storage type.
template <class T, class Bits>
double value_of(Bits bits) {
  if constexpr (std::is_same_v<T, double>)
    return std::bit_cast<double>(bits);
  else
    return static_cast<double>(to_float(std::bit_cast<T>(bits)));
}

/// Elements whose exponent is all ones, which is what NaN and infinity have in common; of the
/// others the largest: without the sign, bits are in the order of the magnitudes.
template <class T, class Bits>
void look(std::span<std::byte const> bytes, Bits exponent, std::int64_t first, TensorScan& scan) {
  constexpr Bits kMagnitude = static_cast<Bits>(~Bits{0}) >> 1;
  std::int64_t bad = 0;
  Bits largest = 0;
  const std::size_t n = bytes.size() / sizeof(Bits);
  const auto at = [&](std::size_t i) {
    Bits bits;  // memcpy: the buffer holds bytes, not numbers
    std::memcpy(&bits, bytes.data() + i * sizeof(Bits), sizeof(Bits));
    return bits;
  };
  const auto is_bad = [&](std::size_t i) { return (at(i) & exponent) == exponent; };
  for (std::size_t i = 0; i < n; ++i) {
    const auto magnitude = static_cast<Bits>(at(i) & kMagnitude);
    bad += is_bad(i) ? 1 : 0;
    largest = std::max(largest, is_bad(i) ? Bits{0} : magnitude);
  }
  scan.largest = std::max(scan.largest, value_of<T>(largest));
  scan.nonfinite += bad;
  if (bad == 0 || scan.first_bad >= 0) return;
  for (std::size_t i = 0; i < n && scan.first_bad < 0; ++i) {
    if (is_bad(i)) scan.first_bad = first + static_cast<std::int64_t>(i);
  }
}

}  // namespace

TensorScan scan_tensor(SafetensorsFile const& file, SafetensorsEntry const& entry) {
  TensorScan scan;
  Hasher hasher;
  std::vector<std::byte> buffer(std::min<std::uint64_t>(kScanBlock, entry.bytes));
  for (std::uint64_t from = 0; from < entry.bytes; from += buffer.size()) {
    const auto block =
        std::span(buffer).first(std::min<std::uint64_t>(buffer.size(), entry.bytes - from));
    file.read(entry, from, block);
    hasher.add(block);
    const auto first = static_cast<std::int64_t>(from / size_of(entry.dtype));
    switch (entry.dtype) {
      case DType::f32:
        look<float, std::uint32_t>(block, 0x7f800000u, first, scan);
        break;
      case DType::bf16:
        look<bf16, std::uint16_t>(block, 0x7f80u, first, scan);
        break;
      case DType::f16:
        look<f16, std::uint16_t>(block, 0x7c00u, first, scan);
        break;
      case DType::f64:
        look<double, std::uint64_t>(block, 0x7ff0000000000000u, first, scan);
        break;
      case DType::i32:
        break;
    }
  }
  scan.hash = hasher.value();
  return scan;
}

std::string element_text(SafetensorsEntry const& entry, std::int64_t index) {
  std::string text;
  for (auto extent = entry.shape.rbegin(); extent != entry.shape.rend() && *extent > 0; ++extent) {
    text = std::to_string(index % *extent) + (text.empty() ? "" : ", ") + text;
    index /= *extent;
  }
  return "[" + text + "]";
}

}  // namespace lomo

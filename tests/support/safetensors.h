#pragma once
#include <array>
#include <bit>
#include <cstdint>
#include <string>

namespace lomo::test {

/// The bytes of a safetensors file with this header, valid or not, and this payload.
inline std::string safetensors(std::string const& header, std::string const& payload) {
  const auto prefix = std::bit_cast<std::array<char, 8>>(std::uint64_t{header.size()});
  return std::string(prefix.data(), prefix.size()) + header + payload;
}

}  // namespace lomo::test

#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace lomo {

/// XXH3 (64 bits) of a stream of bytes.
class Hasher {
 public:
  Hasher();
  ~Hasher();

  void add(std::span<std::byte const> bytes);
  /// The text and its length, so that "ab","c" differs from "a","bc".
  void add(std::string_view text);
  void add(std::int64_t number);
  /// Of everything added so far.
  std::uint64_t value() const;
  /// The value as 16 hexadecimal digits.
  std::string text() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lomo

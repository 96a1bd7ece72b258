#include "lomo/io/hash.h"

#include <xxhash.h>

#include <array>
#include <cstdio>
#include <new>

namespace lomo {

struct Hasher::State {
  XXH3_state_t* inner = XXH3_createState();
  State() {
    if (inner == nullptr) throw std::bad_alloc();
    XXH3_64bits_reset(inner);
  }
  State(State const&) = delete;  // owns the library's state
  State& operator=(State const&) = delete;
  ~State() { XXH3_freeState(inner); }
};

Hasher::Hasher() : state_(std::make_unique<State>()) {}

Hasher::~Hasher() = default;

void Hasher::add(std::span<std::byte const> bytes) {
  if (!bytes.empty()) XXH3_64bits_update(state_->inner, bytes.data(), bytes.size());
}

void Hasher::add(std::string_view text) {
  add(static_cast<std::int64_t>(text.size()));
  add(std::as_bytes(std::span(text)));
}

void Hasher::add(std::int64_t number) {
  add(std::as_bytes(std::span(&number, 1)));
}

std::uint64_t Hasher::value() const {
  return XXH3_64bits_digest(state_->inner);
}

std::string Hasher::text() const {
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(value()));
  return digits.data();
}

}  // namespace lomo

#pragma once
#include <cstdint>

#include "lomo/core/random.h"
#include "vector_loop.h"

namespace lomo::cpu {

/// philox_words writes whole groups of counters: up to this many words more than asked for.
inline constexpr std::int64_t kPhiloxWords = 32;

/// words[4 c + k] = word k of philox(key, counter + c) for c in [0, counters). `width` is at most
/// the machine's.
void philox_words(RandomKey key, std::uint64_t counter, std::int64_t counters, std::uint32_t* words,
                  VectorWidth width = vector_width());

}  // namespace lomo::cpu

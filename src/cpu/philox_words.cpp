#include "philox_words.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif
#if defined(__GNUC__) && !defined(__clang__)
// GCC 12's own AVX-512 headers start values from themselves (its bug 105593).
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

// Stochastic rounding draws a word for every weight at every step, so this has to keep up with the
// memory: eight counters at a time, each 32-bit word in a 64-bit lane whose upper half is ignored.
namespace lomo::cpu {
namespace {

void plain_words(RandomKey key, std::uint64_t counter, std::int64_t counters,
                 std::uint32_t* words) {
  for (std::int64_t c = 0; c < counters; ++c) {
    const auto four = philox(key, counter + static_cast<std::uint64_t>(c));
    for (std::size_t k = 0; k < 4; ++k) words[4 * c + static_cast<std::int64_t>(k)] = four[k];
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
struct Constants {
  std::uint64_t multiplier0 = 0xD2511F53u, multiplier1 = 0xCD9E8D57u;
  std::uint32_t bump0 = 0x9E3779B9u, bump1 = 0xBB67AE85u;
};

long long lane(std::uint64_t x) {
  return static_cast<long long>(x);
}

[[gnu::target("avx512f")]] void avx512_words(RandomKey key, std::uint64_t counter,
                                             std::int64_t counters, std::uint32_t* words) {
  constexpr Constants k;
  const __m512i multiplier0 = _mm512_set1_epi64(lane(k.multiplier0));
  const __m512i multiplier1 = _mm512_set1_epi64(lane(k.multiplier1));
  const __m512i lanes = _mm512_set_epi64(7, 6, 5, 4, 3, 2, 1, 0);
  const __m512i first_half = _mm512_set_epi64(11, 3, 10, 2, 9, 1, 8, 0);
  const __m512i second_half = _mm512_set_epi64(15, 7, 14, 6, 13, 5, 12, 4);
  for (std::int64_t c = 0; c < counters; c += 8) {
    const __m512i index =
        _mm512_add_epi64(_mm512_set1_epi64(lane(counter + static_cast<std::uint64_t>(c))), lanes);
    __m512i c0 = index;
    __m512i c1 = _mm512_srli_epi64(index, 32);
    __m512i c2 = _mm512_set1_epi64(lane(key.step));
    __m512i c3 = _mm512_set1_epi64(lane(key.step >> 32));
    auto k0 = static_cast<std::uint32_t>(key.stream);
    auto k1 = static_cast<std::uint32_t>(key.stream >> 32);
    for (int round = 0; round < 10; ++round) {
      const __m512i p0 = _mm512_mul_epu32(c0, multiplier0);
      const __m512i p1 = _mm512_mul_epu32(c2, multiplier1);
      constexpr int kXor = 0x96;  // of three
      c0 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p1, 32), c1, _mm512_set1_epi64(lane(k0)),
                                     kXor);
      c1 = p1;
      c2 = _mm512_ternarylogic_epi64(_mm512_srli_epi64(p0, 32), c3, _mm512_set1_epi64(lane(k1)),
                                     kXor);
      c3 = p0;
      k0 += k.bump0;
      k1 += k.bump1;
    }
    constexpr __mmask16 kOdd = 0xAAAA;
    const __m512i low = _mm512_mask_shuffle_epi32(c0, kOdd, c1, _MM_PERM_CCAA);
    const __m512i high = _mm512_mask_shuffle_epi32(c2, kOdd, c3, _MM_PERM_CCAA);
    _mm512_storeu_si512(words + 4 * c, _mm512_permutex2var_epi64(low, first_half, high));
    _mm512_storeu_si512(words + 4 * c + 16, _mm512_permutex2var_epi64(low, second_half, high));
  }
}

[[gnu::target("avx2")]] void avx2_words(RandomKey key, std::uint64_t counter, std::int64_t counters,
                                        std::uint32_t* words) {
  constexpr Constants k;
  const __m256i multiplier0 = _mm256_set1_epi64x(lane(k.multiplier0));
  const __m256i multiplier1 = _mm256_set1_epi64x(lane(k.multiplier1));
  const __m256i lanes = _mm256_set_epi64x(3, 2, 1, 0);
  for (std::int64_t c = 0; c < counters; c += 4) {
    const __m256i index =
        _mm256_add_epi64(_mm256_set1_epi64x(lane(counter + static_cast<std::uint64_t>(c))), lanes);
    __m256i c0 = index;
    __m256i c1 = _mm256_srli_epi64(index, 32);
    __m256i c2 = _mm256_set1_epi64x(lane(key.step));
    __m256i c3 = _mm256_set1_epi64x(lane(key.step >> 32));
    auto k0 = static_cast<std::uint32_t>(key.stream);
    auto k1 = static_cast<std::uint32_t>(key.stream >> 32);
    for (int round = 0; round < 10; ++round) {
      const __m256i p0 = _mm256_mul_epu32(c0, multiplier0);
      const __m256i p1 = _mm256_mul_epu32(c2, multiplier1);
      c0 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p1, 32), c1),
                            _mm256_set1_epi64x(lane(k0)));
      c1 = p1;
      c2 = _mm256_xor_si256(_mm256_xor_si256(_mm256_srli_epi64(p0, 32), c3),
                            _mm256_set1_epi64x(lane(k1)));
      c3 = p0;
      k0 += k.bump0;
      k1 += k.bump1;
    }
    constexpr int kOdd = 0xAA;
    const __m256i low = _mm256_blend_epi32(c0, _mm256_slli_epi64(c1, 32), kOdd);
    const __m256i high = _mm256_blend_epi32(c2, _mm256_slli_epi64(c3, 32), kOdd);
    const __m256i even = _mm256_unpacklo_epi64(low, high);  // counters 0 and 2
    const __m256i odd = _mm256_unpackhi_epi64(low, high);   // counters 1 and 3
    auto* const out = reinterpret_cast<__m256i*>(words + 4 * c);
    _mm256_storeu_si256(out, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256(out + 1, _mm256_permute2x128_si256(even, odd, 0x31));
  }
}
#endif

}  // namespace

void philox_words(RandomKey key, std::uint64_t counter, std::int64_t counters, std::uint32_t* words,
                  [[maybe_unused]] VectorWidth width) {
#if defined(__x86_64__) && defined(__GNUC__)
  switch (width) {
    case VectorWidth::avx512:
      return avx512_words(key, counter, counters, words);
    case VectorWidth::avx2:
      return avx2_words(key, counter, counters, words);
    case VectorWidth::baseline:
      break;
  }
#endif
  plain_words(key, counter, counters, words);
}

}  // namespace lomo::cpu

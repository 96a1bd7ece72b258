#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace lomo {

// How numbers and names stand in messages. Figures for programs (JSON, metrics) are written in
// full.

/// "12,345".
std::string human_count(std::int64_t n);
/// "1 step", "12,345 steps"; `many` for nouns that do more than take an s.
std::string counted(std::int64_t n, std::string_view one, std::string_view many = {});
/// Four significant digits and no exponent where people write none: "0.0123", "2.135", "81,790",
/// "1.2e-07". "nan" without a sign.
std::string human_number(double value);
/// A share: "0.3 %", "27 %", "100 %".
std::string human_percent(double share);
/// "0 B", "512 B", "1.5 MiB", "2.0 TiB".
std::string human_bytes(std::size_t bytes);
/// "0.4 s", "14 s", "4 min 5 s", "1 h 2 min", "3 d 4 h".
std::string human_duration(double seconds);
/// As a clock shows it: "0:14", "4:05", "1:02:03".
std::string clock_time(double seconds);
/// "260 K", "6.7 B": parameters of a model.
std::string human_parameters(std::int64_t n);
/// `text` as a shell takes it for one word: quoted where it has a blank or another special
/// character.
std::string shell_quoted(std::string const& text);

}  // namespace lomo

#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lomo {

/// What a record that a reader cannot use seems to be, and the setting with which it is read, as a
/// sentence with a space before it; empty where it is nothing that is known.
std::string recognised_record(nlohmann::json const& record);

/// The same for a line that is no JSON.
std::string recognised_line(std::string_view line);

/// What a file of tables or an archive is, by its first bytes, and how it is converted to what is
/// read; empty where it is neither. Begins a sentence.
std::string foreign_bytes(std::string_view start, std::filesystem::path const& file);

/// The same of a table of values with separators (CSV, TSV), by the file's name or by the look of a
/// line of it that is no JSON.
std::string foreign_table(std::string_view line, std::filesystem::path const& file);

}  // namespace lomo

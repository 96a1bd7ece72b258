#pragma once
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace lomo {

/// What a record that a reader cannot use seems to be, and the setting with which it is read, as a
/// sentence with a space before it; empty where it is nothing that is known.
std::string recognised_record(nlohmann::json const& record);

/// The same for a line that is no JSON.
std::string recognised_line(std::string_view line);

}  // namespace lomo

#pragma once
#include <filesystem>

namespace lomo::test {

/// The root of the sources, for tests that read shipped files.
std::filesystem::path source_dir();

}  // namespace lomo::test

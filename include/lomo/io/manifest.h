#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

/// manifest.json says what a saved folder holds: name, size and XXH3 of every file, and the program
/// that wrote it. It is written last, so a folder that has it was written to its end.
namespace lomo {

inline constexpr char const* kManifestName = "manifest.json";

struct Manifest {
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
    std::string hash;  // 16 hexadecimal digits
  };
  std::string written_by;   // "lomo-train 0.1.0"
  std::vector<File> files;  // by name
};

/// Reads every byte of a file.
Manifest::File describe_file(std::filesystem::path const& path);
/// Writes the manifest of the folder that holds these files and makes the folder durable.
void write_manifest(std::filesystem::path const& folder, Manifest manifest);

/// The text is accepted only when it is, to the byte, what write_manifest would have written.
/// `where` names it in messages. Throws Error(Exit::data).
Manifest parse_manifest(std::string_view text, std::string const& where);

bool has_manifest(std::filesystem::path const& folder);

/// One sentence for each thing that differs from the manifest: files that are missing, of another
/// size or of other content, or the manifest itself. Empty: the folder is whole. Files that the
/// manifest does not name are ignored, except weights that a reader would take up.
std::vector<std::string> check_manifest(std::filesystem::path const& folder);

}  // namespace lomo

#include "lomo/io/manifest.h"

#include <algorithm>
#include <set>
#include <system_error>

#include "lomo/core/activity.h"
#include "lomo/core/text.h"
#include "lomo/io/files.h"
#include "lomo/io/hash.h"
#include "lomo/io/json.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kBlock = std::size_t{1} << 20;
constexpr std::size_t kLargest = std::size_t{16} << 20;
constexpr std::int64_t kFormat = 1;

std::string render(Manifest const& manifest) {
  nlohmann::ordered_json files = nlohmann::ordered_json::array();
  Hasher own;  // of the manifest itself
  own.add(manifest.written_by);
  for (Manifest::File const& file : manifest.files) {
    files.push_back({{"name", file.name}, {"bytes", file.bytes}, {"xxh3", file.hash}});
    own.add(file.name);
    own.add(static_cast<std::int64_t>(file.bytes));
    own.add(file.hash);
  }
  const nlohmann::ordered_json json = {{"format", kFormat},
                                       {"written_by", manifest.written_by},
                                       {"files", files},
                                       {"xxh3", own.text()}};
  return json.dump(2) + "\n";
}

/// Files that loading takes up by their name alone.
bool taken_up(std::string const& name) {
  return name == "model.safetensors" || name == "model.safetensors.index.json";
}

}  // namespace

Manifest::File describe_file(fs::path const& path) {
  const InputFile input(path, Exit::data);
  std::vector<std::byte> block(std::min<std::uint64_t>(kBlock, input.size()));
  Hasher hasher;
  Activity activity("checksum of " + path.string(), static_cast<double>(input.size()),
                    Activity::Unit::bytes, Activity::End::quiet);
  for (std::uint64_t at = 0; at < input.size(); at += block.size()) {
    const auto part =
        std::span(block).first(std::min<std::uint64_t>(block.size(), input.size() - at));
    input.read(at, part);
    hasher.add(part);
    activity.advance(static_cast<double>(part.size()));
  }
  return {path.filename().string(), input.size(), hasher.text()};
}

void write_manifest(fs::path const& folder, Manifest manifest) {
  std::sort(manifest.files.begin(), manifest.files.end(),
            [](auto const& a, auto const& b) { return a.name < b.name; });
  write_file(folder / kManifestName, render(manifest));
}

Manifest parse_manifest(std::string_view text, std::string const& where) {
  const Json json = parse_json(text, where, Exit::data);
  JsonReader reader(json, where, Exit::data);
  for (char const* key : {"format", "written_by", "files", "xxh3"}) reader.require(key);
  std::int64_t format = 0;
  reader.get("format", format);
  if (format != kFormat) {
    reader.fail("format", "this program reads format " + std::to_string(kFormat) + ", found " +
                              std::to_string(format));
  }
  Manifest manifest;
  std::string own;
  reader.get("written_by", manifest.written_by);
  reader.get("xxh3", own);
  for (JsonReader& item : reader.objects("files")) {
    for (char const* key : {"name", "bytes", "xxh3"}) item.require(key);
    Manifest::File& file = manifest.files.emplace_back();
    item.get("name", file.name);
    item.get("bytes", file.bytes);
    item.get("xxh3", file.hash);
    if (file.name.empty() ||
        file.name.find_first_of(std::string_view("/\0", 2)) != std::string::npos) {
      item.fail("name", "must be a file of the same folder");
    }
  }
  if (render(manifest) != text) {
    throw Error(Exit::data, where + ": the manifest was changed after it was written");
  }
  return manifest;
}

bool has_manifest(fs::path const& folder) {
  std::error_code error;
  return fs::exists(folder / kManifestName, error);
}

std::vector<std::string> check_manifest(fs::path const& folder) {
  const fs::path path = folder / kManifestName;
  Manifest manifest;
  try {
    manifest = parse_manifest(read_file(path, Exit::data, kLargest), path.string());
  } catch (Error const& error) {
    return {error.what()};
  }
  std::vector<std::string> problems;
  std::set<std::string> named;
  for (Manifest::File const& expected : manifest.files) {
    named.insert(expected.name);
    const std::string where = (folder / expected.name).string();
    try {
      // The size first: a file cut short need not be read.
      const std::uint64_t bytes = InputFile(folder / expected.name, Exit::data).size();
      if (bytes != expected.bytes) {
        problems.push_back(where + " has " + counted(static_cast<std::int64_t>(bytes), "byte") +
                           ", " + human_count(static_cast<std::int64_t>(expected.bytes)) +
                           " were written");
      } else if (describe_file(folder / expected.name).hash != expected.hash) {
        problems.push_back(where + " does not have the content that was written");
      }
    } catch (Error const& error) {
      problems.push_back(error.what());
    }
  }
  std::error_code error;
  for (auto const& entry : fs::directory_iterator(folder, error)) {
    const std::string name = entry.path().filename().string();
    if (taken_up(name) && !named.contains(name)) {
      problems.push_back(entry.path().string() + " is not named in the manifest");
    }
  }
  return problems;
}

}  // namespace lomo

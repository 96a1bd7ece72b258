#include "lomo/run/rank_consistency.h"

#include <link.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <random>
#include <string_view>
#include <system_error>
#include <thread>

#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/hash.h"
#include "lomo/io/safetensors.h"
#include "lomo/parallel/host_collectives.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPages = 64;       // looked at in each file of weights
constexpr std::size_t kLongestShown = 60;  // longer values are compared and not shown
constexpr std::size_t kDifferences = 5;    // named in a message

/// The program and the project's libraries: other builds may compute other things.
std::string code_hash() {
  std::vector<std::string> files{"/proc/self/exe"};
  dl_iterate_phdr(
      [](dl_phdr_info* object, std::size_t, void* list) {
        if (std::string_view(object->dlpi_name).find("/liblomo") != std::string_view::npos) {
          static_cast<std::vector<std::string>*>(list)->emplace_back(object->dlpi_name);
        }
        return 0;
      },
      &files);
  Hasher hasher;
  hasher.add(LOMO_VERSION);
  for (std::string const& file : files) hasher.add(read_file(file, Exit::failure));
  return hasher.text();
}

void add_pages(Hasher& hasher, fs::path const& path) {
  const InputFile file(path, Exit::data);
  hasher.add(static_cast<std::int64_t>(file.size()));
  std::array<std::byte, kPage> page{};
  const std::uint64_t step = std::max(kPage, file.size() / kPages);
  for (std::uint64_t at = 0; at < file.size(); at += step) {
    const auto part = std::span(page).first(std::min(kPage, file.size() - at));
    file.read(at, part);
    hasher.add(part);
  }
}

std::string model_hash(fs::path const& folder) {
  Hasher hasher;
  hasher.add(read_file(folder / "config.json", Exit::data));
  const CheckpointFolder checkpoint(folder);
  for (SafetensorsFile const& file : checkpoint.files()) {
    hasher.add(file.path().filename().string());
    for (SafetensorsEntry const& entry : file.entries()) {
      hasher.add(entry.name);
      hasher.add(entry.shape_text());
      hasher.add(static_cast<std::int64_t>(entry.offset));
    }
    add_pages(hasher, file.path());
  }
  return hasher.text();
}

Json to_json(std::vector<Fingerprint> const& all) {
  Json json = Json::array();
  for (Fingerprint const& given : all) json.push_back({given.what, given.value});
  return json;
}

/// "rank 2 has optimizer.lr 0.1, rank 0 has 0.05", for what is short enough.
std::string difference(int rank, Fingerprint const& first, std::string const& value) {
  const std::string who = "rank " + std::to_string(rank) + " has ";
  if (std::max(first.value.size(), value.size()) > kLongestShown || first.exit == Exit::data) {
    return who + "another " + first.what + " than rank 0";
  }
  return who + first.what + " " + value + ", rank 0 has " + first.value;
}

}  // namespace

std::vector<Fingerprint> fingerprints_of(TrainConfig const& config, fs::path const& model,
                                         Inputs const& inputs) {
  std::vector<Fingerprint> all{{"program", code_hash(), Exit::usage}};
  const Json flat = Json::parse(to_json(config).dump()).flatten();
  for (auto const& [pointer, value] : flat.items()) {
    std::string key = pointer.substr(1);
    std::ranges::replace(key, '/', '.');
    all.push_back({key, value.dump(), Exit::usage});
  }
  all.push_back({"model folder", model_hash(model), Exit::data});
  all.push_back({"training data", content_hash(inputs.train), Exit::data});
  all.push_back({"evaluation data", content_hash(inputs.eval.data), Exit::data});
  return all;
}

void require_rank_consistency(Communicator& host, std::vector<Fingerprint> const& mine) {
  if (host.size() == 1) return;
  std::vector<Json> all;
  for (std::string const& words : all_gather_strings(host, to_json(mine).dump())) {
    all.push_back(Json::parse(words));
  }
  std::vector<std::string> differences;
  Exit exit = Exit::usage;
  for (int q = 1; q < host.size(); ++q) {
    Json const& other = all[static_cast<std::size_t>(q)];
    if (other == all.front()) continue;
    if (other.size() != all.front().size()) {
      differences.push_back("rank " + std::to_string(q) + " has other keys of the config");
      continue;
    }
    for (std::size_t i = 0; i < other.size(); ++i) {
      if (other[i] == all.front()[i]) continue;
      const Fingerprint first{all.front()[i][0], all.front()[i][1], mine[i].exit};
      if (differences.empty()) exit = first.exit;
      differences.push_back(difference(q, first, other[i][1]));
    }
  }
  if (differences.empty()) return;
  std::string message = "the ranks were not given the same: ";
  for (std::size_t i = 0; i < std::min(differences.size(), kDifferences); ++i) {
    message += (i == 0 ? "" : "; ") + differences[i];
  }
  if (differences.size() > kDifferences) {
    message += "; and " + std::to_string(differences.size() - kDifferences) + " more";
  }
  throw Error(exit, message);
}

void require_shared(Communicator& host, fs::path const& folder) {
  if (host.size() == 1) return;
  const std::string name = ".probe-of-ranks";
  const std::string token = broadcast_from_root(host, [&] {
    const std::string drawn = std::to_string(std::random_device{}());
    write_file(folder / name, drawn);
    return drawn;
  });
  const auto seen = [&] {
    try {
      return read_file(folder / name, Exit::usage) == token;
    } catch (Error const&) {
      return false;
    }
  };
  // A network file system may show an old listing for some seconds.
  bool mine = false;
  for (int tries = 0; tries < 150 && !(mine = seen()); ++tries) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  std::string blind;
  const std::vector<char> all = host.all_gather_host(static_cast<char>(mine));
  for (std::size_t q = 0; q < all.size(); ++q) {
    if (all[q] == 0) blind += (blind.empty() ? "rank " : ", rank ") + std::to_string(q);
  }
  std::error_code ignored;
  if (host.rank() == 0) fs::remove(folder / name, ignored);
  if (blind.empty()) return;
  throw Error(Exit::usage, blind + " cannot see " + folder.string() +
                               " as rank 0 made it. Ranks on several machines need a file system "
                               "that they share: put --output there.");
}

}  // namespace lomo

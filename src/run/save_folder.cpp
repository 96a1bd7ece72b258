#include "save_folder.h"

#include <string>
#include <system_error>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/json.h"
#include "lomo/io/manifest.h"
#include "lomo/io/tensor_scan.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/parallel/ownership.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

void refuse_nonfinite(fs::path const& path) {
  const SafetensorsFile file(path);
  Activity activity("checking the values in " + path.string(),
                    static_cast<double>(file.entries().size()), Activity::Unit::count,
                    Activity::End::quiet);
  for (SafetensorsEntry const& tensor : file.entries()) {
    activity.advance();
    const TensorScan scan = scan_tensor(file, tensor);
    if (scan.nonfinite == 0) continue;
    throw Error(Exit::diverged,
                "not saved: " + std::to_string(scan.nonfinite) + " values of \"" + tensor.name +
                    "\" are not finite, the first at " + element_text(tensor, scan.first_bad) +
                    ". The run has diverged. Go on from an earlier checkpoint (--resume) with a "
                    "lower optimizer.lr, clip.norm, or gradient_check \"step\".");
  }
}

/// The manifest of what was written; each rank reads its share of the files.
Manifest look_over(fs::path const& folder, Communicator& host) {
  const Json names = Json::parse(broadcast_from_root(host, [&] {
    Json list = Json::array();
    for (auto const& entry : fs::directory_iterator(folder)) {
      if (entry.is_regular_file()) list.push_back(entry.path().filename().string());
    }
    return list.dump();
  }));
  const RankInfo info = rank_info(host);
  Json mine = Json::array();
  all_ranks_or_throw(host, [&] {
    for (std::size_t i = static_cast<std::size_t>(info.rank); i < names.size();
         i += static_cast<std::size_t>(info.ranks)) {
      const fs::path file = folder / names[i].get<std::string>();
      if (file.extension() == ".safetensors") refuse_nonfinite(file);
      const Manifest::File described = describe_file(file);
      mine.push_back({described.name, described.bytes, described.hash});
    }
  });
  Manifest manifest{"lomo-train " LOMO_VERSION, {}};
  for (std::string const& words : all_gather_strings(host, mine.dump())) {
    for (Json const& file : Json::parse(words)) {
      manifest.files.push_back({file[0], file[1], file[2]});
    }
  }
  return manifest;
}

void write_whole(fs::path const& partial, fs::path const& folder, Communicator& host,
                 std::function<void(fs::path const&)> const& fill) {
  on_root(host, [&] {
    fs::remove_all(partial);
    fs::create_directories(partial);
  });
  fill(partial);
  const Manifest manifest = look_over(partial, host);
  on_root(host, [&] {
    write_manifest(partial, manifest);
    fs::rename(partial, folder);
    sync_folder(folder.parent_path());
  });
}

}  // namespace

void save_folder(fs::path const& folder, Communicator& host,
                 std::function<void(fs::path const&)> const& fill) {
  const fs::path partial = folder.parent_path() / (".partial-" + folder.filename().string());
  const auto give_space_back = [&] {
    std::error_code ignored;
    if (is_root(host)) fs::remove_all(partial, ignored);
  };
  try {
    write_whole(partial, folder, host, fill);
  } catch (fs::filesystem_error const& failed) {
    give_space_back();
    throw Error("cannot save " + folder.string() + ": " + failed.code().message());
  } catch (Error const& failed) {
    give_space_back();
    if (failed.code() != Exit::data) throw;
    // What was just written cannot be read: a matter of the disk, not of anybody's data.
    throw Error("cannot save " + folder.string() + ": " + failed.what());
  } catch (...) {
    give_space_back();
    throw;
  }
}

}  // namespace lomo

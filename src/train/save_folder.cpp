#include "save_folder.h"

#include <string>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/io/files.h"
#include "lomo/io/manifest.h"
#include "lomo/io/tensor_scan.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

void refuse_nonfinite(fs::path const& folder) {
  for (auto const& entry : fs::directory_iterator(folder)) {
    if (entry.path().extension() != ".safetensors") continue;
    const SafetensorsFile file(entry.path());
    for (SafetensorsEntry const& tensor : file.entries()) {
      const TensorScan scan = scan_tensor(file, tensor);
      if (scan.nonfinite == 0) continue;
      throw Error(Exit::diverged,
                  "not saved: " + std::to_string(scan.nonfinite) + " values of \"" + tensor.name +
                      "\" are not finite, the first at " + element_text(tensor, scan.first_bad) +
                      ". The run has diverged. Go on from an earlier checkpoint (--resume) with a "
                      "lower optimizer.lr, clip.norm, or protect \"step\".");
    }
  }
}

void write_whole(fs::path const& partial, fs::path const& folder,
                 std::function<void(fs::path const&)> const& fill) {
  fs::create_directories(partial);
  fill(partial);
  refuse_nonfinite(partial);
  write_manifest(partial, "lomo-train " LOMO_VERSION);
  fs::rename(partial, folder);
  sync_folder(folder.parent_path());
}

}  // namespace

void save_folder(fs::path const& folder, std::function<void(fs::path const&)> const& fill) {
  const fs::path partial = folder.parent_path() / (".partial-" + folder.filename().string());
  std::error_code error;
  fs::remove_all(partial, error);
  const auto give_space_back = [&] { fs::remove_all(partial, error); };
  try {
    write_whole(partial, folder, fill);
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

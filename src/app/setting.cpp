#include "setting.h"

#include <unistd.h>

#include <system_error>

#include "lomo/core/error.h"
#include "stop.h"

namespace lomo::app {

namespace fs = std::filesystem;

namespace {

fs::path program_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path("lomo-train") : path;
}

void require_device(Common const& common) {
  if (common.device == "cuda") {
    throw Error(Exit::usage,
                "--device cuda: this lomo-train was built without the CUDA engine; use "
                "--device cpu or auto");
  }
}

}  // namespace

std::vector<fs::path> shipped_configs() {
  std::vector<fs::path> folders;
  std::error_code error;
  for (fs::path const& folder :
       {program_path().parent_path() / ".." / "share" / "lomo-train" / "configs",
        fs::path(LOMO_SOURCE_CONFIGS)}) {
    if (fs::is_directory(folder, error)) folders.push_back(folder.lexically_normal());
  }
  return folders;
}

std::unique_ptr<Backend> make_engine(Common const& common, std::size_t memory) {
  require_device(common);
  return make_cpu_backend({.threads = common.threads, .memory = memory});
}

RunSetting run_setting(Common const& common) {
  require_device(common);  // before data and weights are read
  RunSetting setting(common.ranks);
  setting.failing = [&words = common.last_words](std::exception_ptr const& failure) {
    words.say(failure);
  };
  setting.make_engine = [common](std::size_t memory) { return make_engine(common, memory); };
  setting.make_dry = [common] { return make_dry_backend({.threads = common.threads}); };
  setting.stop_requested = stop_requested;
  for (fs::path const& folder : shipped_configs()) {
    std::error_code error;
    const fs::path file = folder / "prompts" / "superglue.json";
    if (setting.prompts.empty() && fs::is_regular_file(file, error)) setting.prompts = file;
  }
  setting.program = program_path().string();
  setting.terminal = common.ranks.rank() == 0 && isatty(STDERR_FILENO) == 1;
  return setting;
}

}  // namespace lomo::app

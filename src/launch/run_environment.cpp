#include "lomo/launch/run_environment.h"

#include <system_error>

#include "lomo/launch/engines.h"
#include "lomo/launch/stop.h"

namespace lomo::launch {

namespace fs = std::filesystem;

namespace {

fs::path program_path() {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path("lomo-train") : path;
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

fs::path shipped_prompts() {
  std::error_code error;
  for (fs::path const& folder : shipped_configs()) {
    const fs::path file = folder / "prompts" / "superglue.json";
    if (fs::is_regular_file(file, error)) return file;
  }
  return {};
}

std::unique_ptr<Backend> make_engine(Process const& process, std::size_t memory) {
  return Engines(process).make(memory);
}

std::size_t bytes_option(std::string const& option, std::string const& text) {
  if (const auto bytes = parse_bytes(text)) return *bytes;
  throw Error(Exit::usage, option + " " + text + ": expected a size such as 24GiB");
}

RunEnvironment run_environment(Process const& process) {
  const Engines engines(process);  // before data and weights are read
  RunEnvironment setting(process.ranks);
  setting.failing = [&words = process.error_reporter](std::exception_ptr const& failure) {
    words.report(failure);
  };
  setting.device = engines.device();
  setting.make_engine = [engines, &ranks = process.ranks](std::size_t memory) {
    Engine engine(engines.make(memory));
    engine.connection = engines.connect(*engine, ranks);
    return engine;
  };
  setting.make_dry = [threads = process.threads, accounting = engines.device(),
                      &ranks = process.ranks] {
    Engine engine(make_dry_backend({.threads = threads, .accounting = accounting}));
    if (ranks.size() > 1) engine.connection = make_dry_communicator(*engine, ranks.host());
    return engine;
  };
  setting.available_memory = [engines] { return engines.available_memory(); };
  setting.stop_requested = stop_requested;
  setting.defer_stops = defer_stops;
  setting.prompts = shipped_prompts();
  setting.program = program_path().string();
  return setting;
}

}  // namespace lomo::launch

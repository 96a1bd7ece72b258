#include "lomo/core/log.h"

#include <spdlog/sinks/ansicolor_sink.h>
#include <spdlog/sinks/basic_file_sink.h>

#include <chrono>
#include <memory>
#include <string>

#include "lomo/core/console.h"

namespace lomo::log {

namespace {

spdlog::sink_ptr g_file;  // of also_to

/// On stderr, above the status line.
class Console : public spdlog::sinks::ansicolor_stderr_sink_mt {
 public:
  Console()
      : spdlog::sinks::ansicolor_stderr_sink_mt(console::can_draw() ? spdlog::color_mode::always
                                                                    : spdlog::color_mode::never) {}
  void log(spdlog::details::log_msg const& message) override {
    console::above_status([&] { spdlog::sinks::ansicolor_stderr_sink_mt::log(message); });
  }
};

}  // namespace

void start(std::string_view level, std::string_view who) {
  auto console = std::make_shared<Console>();
  console->set_pattern("%^%L%$ %n%v");
  auto logger = std::make_shared<spdlog::logger>(std::string(who), console);
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void also_to(std::filesystem::path const& file) {
  g_file = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  g_file->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %n%v");
  spdlog::default_logger()->sinks().push_back(g_file);
}

void to_file(std::string_view line) {
  auto const& logger = *spdlog::default_logger();
  if (g_file == nullptr || !logger.should_log(spdlog::level::info)) return;
  g_file->log({logger.name(), spdlog::level::info, line});
  g_file->flush();
}

}  // namespace lomo::log

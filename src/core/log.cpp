#include "lomo/core/log.h"

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include <memory>
#include <string>

namespace lomo::log {

void start(std::string_view level, std::string_view who) {
  auto console = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  console->set_pattern("%^%L%$ %n%v");
  auto logger = std::make_shared<spdlog::logger>(std::string(who), console);
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

void also_to(std::filesystem::path const& file) {
  auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file.string());
  sink->set_pattern("%Y-%m-%d %H:%M:%S.%e %l %n%v");
  spdlog::default_logger()->sinks().push_back(std::move(sink));
}

}  // namespace lomo::log

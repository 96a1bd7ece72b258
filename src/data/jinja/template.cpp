#include <cerrno>
#include <cstdlib>

#include "evaluator.h"
#include "lexer.h"
#include "lomo/core/error.h"
#include "parser.h"

namespace lomo::jinja {

std::tm rendering_time() {
  std::tm time{};
  char const* epoch = std::getenv("SOURCE_DATE_EPOCH");
  if (epoch == nullptr || *epoch == '\0') {
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &time);
    return time;
  }
  char* end = nullptr;
  errno = 0;
  const long long seconds = std::strtoll(epoch, &end, 10);
  const auto moment = static_cast<std::time_t>(seconds);
  if (*end != '\0' || errno != 0 || seconds < 0 || gmtime_r(&moment, &time) == nullptr) {
    throw Error(Exit::usage, "SOURCE_DATE_EPOCH is \"" + std::string(epoch) +
                                 "\"; it must be a number of seconds since 1970");
  }
  return time;
}

Template::Template(std::string_view source, std::string name) {
  auto program = std::make_unique<Program>();
  program->name = std::move(name);
  Parser(read_tokens(source, program->name), *program).parse();
  program_ = std::move(program);
}

Template::~Template() = default;
Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;

Rendering Template::render(Json const& variables, std::tm const& now, Limits const& limits) const {
  Arena arena(limits);
  return Evaluator(*program_, arena, now).run(variables);
}

bool Template::has_generation() const {
  return program_->generation;
}

bool Template::mentions(std::string_view word) const {
  return program_->words.contains(word);
}

}  // namespace lomo::jinja

#include "regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>

#include "lomo/core/error.h"

namespace lomo::tokenizers {

namespace {

constexpr std::size_t kLongestPattern = 1u << 16;
constexpr std::uint32_t kMatchLimit = 10'000'000;
constexpr std::uint32_t kHeapLimit = 64u << 10;                // KiB, where nothing is compiled
constexpr std::size_t kJitStackLimit = std::size_t{16} << 20;  // bytes

using Code = std::unique_ptr<pcre2_code, decltype(&pcre2_code_free)>;
using CompileContext =
    std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)>;

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> text{};
  pcre2_get_error_message(error, text.data(), text.size());
  return reinterpret_cast<char const*>(text.data());
}

Code compile(std::string const& pattern, std::string const& place) {
  const CompileContext context(pcre2_compile_context_create(nullptr), &pcre2_compile_context_free);
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Lines begin and end at newlines in Ruby's syntax, whatever the options.
  Code code(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                          PCRE2_UTF | PCRE2_UCP | PCRE2_NO_AUTO_CAPTURE | PCRE2_MULTILINE |
                              PCRE2_NEVER_BACKSLASH_C,
                          &error, &offset, context.get()),
            &pcre2_code_free);
  if (!code) {
    throw Error(Exit::data, place + ": the pattern cannot be used: " + message_of(error) +
                                ", at \"" + pattern.substr(offset, 20) + "\"");
  }
  return code;
}

}  // namespace

struct RegexScratch::Impl {
  pcre2_match_data* match = pcre2_match_data_create(1, nullptr);
  pcre2_match_context* context = pcre2_match_context_create(nullptr);
  pcre2_jit_stack* stack = pcre2_jit_stack_create(std::size_t{32} << 10, kJitStackLimit, nullptr);
};

RegexScratch::RegexScratch() : impl_(std::make_unique<Impl>()) {
  pcre2_set_match_limit(impl_->context, kMatchLimit);
  pcre2_set_heap_limit(impl_->context, kHeapLimit);
  if (impl_->stack != nullptr) pcre2_jit_stack_assign(impl_->context, nullptr, impl_->stack);
}

RegexScratch::~RegexScratch() {
  pcre2_jit_stack_free(impl_->stack);
  pcre2_match_context_free(impl_->context);
  pcre2_match_data_free(impl_->match);
}

struct Regex::Impl {
  Code code;
  bool compiled;  // to machine code
  MatchShape shape;
};

Regex::Regex(std::string_view pattern, std::string const& place) {
  if (pattern.size() > kLongestPattern) {
    throw Error(Exit::data, place + ": the pattern has " + std::to_string(pattern.size()) +
                                " bytes; at most " + std::to_string(kLongestPattern) + " are read");
  }
  const std::string translated = pcre2_pattern(pattern, place);
  Code code = compile(translated, place);
  const bool compiled = pcre2_jit_compile(code.get(), PCRE2_JIT_COMPLETE) == 0;
  impl_ = std::make_unique<Impl>(Impl{std::move(code), compiled, MatchShape(translated)});
}

Regex::~Regex() = default;
Regex::Regex(Regex&&) noexcept = default;

MatchShape const& Regex::shape() const {
  return impl_->shape;
}

bool Regex::find(std::string_view text, std::size_t from, RegexScratch& scratch, std::size_t& begin,
                 std::size_t& end) const {
  const auto subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  pcre2_match_data* match = scratch.impl_->match;
  const int count = impl_->compiled
                        ? pcre2_jit_match(impl_->code.get(), subject, text.size(), from, 0, match,
                                          scratch.impl_->context)
                        : pcre2_match(impl_->code.get(), subject, text.size(), from,
                                      PCRE2_NO_UTF_CHECK, match, scratch.impl_->context);
  if (count == PCRE2_ERROR_NOMATCH) return false;
  if (count < 0) {
    throw Error(Exit::data, "the tokenizer's pattern gives up on a text of " +
                                std::to_string(text.size()) + " bytes: " + message_of(count));
  }
  const PCRE2_SIZE* range = pcre2_get_ovector_pointer(match);
  begin = range[0];
  end = range[1];
  return true;
}

}  // namespace lomo::tokenizers

#pragma once
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

/// The part of Jinja2 (jinja.palletsprojects.com, version 3.1) that chat templates use, with the
/// settings and additions of transformers' apply_chat_template: trim_blocks and lstrip_blocks,
/// a sandbox in which lists and dicts cannot be changed, break and continue, raise_exception,
/// strftime_now, a tojson without HTML escapes, and the `generation` block.
///
///   output       {{ expression }}, text, {# comments #}, {% raw %}, whitespace control - and +
///   statements   if/elif/else, for (several targets, if, else, recursive, loop.*, break,
///                continue), set (names, tuples, namespace attributes, blocks with filters), macro,
///                generation
///   expressions  Python's literals, lists, tuples, dicts, slices, arithmetic, ~, comparisons in
///                chains, in, not, and, or, inline if, is, filters, calls with keywords
///   functions    range, namespace, dict, raise_exception, strftime_now
///   filters      abs capitalize count d default dictsort first float indent int items join last
///                length list lower map max min reject rejectattr replace reverse round safe select
///                selectattr sort string sum title tojson trim unique upper
///   tests        those of Jinja but `escaped`, `filter` and `test`
///   methods      of text: capitalize count endswith find isalnum isalpha isdigit islower isspace
///                isupper join lower lstrip partition removeprefix removesuffix replace rfind
///                rpartition rsplit rstrip split splitlines startswith strip title upper; of dicts:
///                copy get items keys values; of lists and tuples: count index
///
/// Values behave as Python's: truth, equality, order, negative indices, text counted in code
/// points. What differs: whole numbers have 64 bits, and case is changed only of ASCII and of
/// characters that have none.
namespace lomo::jinja {

/// Keeps the order of keys, which templates can see.
using Json = nlohmann::ordered_json;

/// Bytes [begin, end) of a rendering.
struct Span {
  std::size_t begin = 0, end = 0;
  bool operator==(Span const&) const = default;
};

struct Rendering {
  std::string text;
  std::vector<Span> generation;  // what the `generation` blocks wrote, in order
};

/// Bounds of one rendering; what goes beyond them is an error.
struct Limits {
  std::size_t steps = 20'000'000;  // expressions, statements, and 64 bytes of text handled
  std::size_t bytes = std::size_t{1} << 28;  // of all values made on the way, and of the output
};

/// The moment that strftime_now shows: of SOURCE_DATE_EPOCH (seconds since 1970, in UTC) where the
/// environment sets it, else now, local. Throws Error(Exit::usage) when it is not a number.
std::tm rendering_time();

struct Program;

class Template {
 public:
  /// Parses `source`. Throws Error(Exit::data), "<name>:<line>:<column>: ...", for what is not
  /// Jinja, what this part of it lacks (by name), more than 1 MiB, and nesting of more than 200
  /// levels. Filters, tests and methods that it lacks are refused when they are reached.
  Template(std::string_view source, std::string name);
  ~Template();
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;

  /// Renders with the members of the object `variables`. Throws Error(Exit::data) with the place
  /// in the template: what Python or Jinja would raise, raise_exception, and what exceeds `limits`.
  Rendering render(Json const& variables, std::tm const& now, Limits const& limits = {}) const;

  /// Whether the template has a generation block.
  bool has_generation() const;
  /// Whether `word` occurs as a name, an attribute or a whole text constant: whether a template
  /// that ignores "tool_calls", or the date ("strftime_now"), can be told.
  bool mentions(std::string_view word) const;

 private:
  std::unique_ptr<Program const> program_;
};

}  // namespace lomo::jinja

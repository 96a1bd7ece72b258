#pragma once
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace lomo::jinja {

/// Where something stands in the source, counted from 1; columns in code points.
struct Place {
  std::size_t line = 1, column = 1;
};

/// The most levels of expressions and blocks in each other.
inline constexpr int kDeepest = 200;

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

struct Text {
  std::string bytes;  // UTF-8
  bool safe = false;  // came out of the filter `safe`
};
using Constant = std::variant<std::monostate, bool, std::int64_t, double, Text>;

/// What `text` and `parts` hold, by type.
enum class ExprType : std::uint8_t {
  constant,     // constant
  name,         // text
  list,         // parts
  tuple,        // parts
  dict,         // parts: key, value, key, value ...
  attribute,    // parts[0].text
  item,         // parts[0][parts[1]]
  slice,        // parts[0][parts[1] : parts[2] : parts[3]], each of these may be null
  call,         // parts[0](parts[1] ..., named)
  filter,       // parts[0] | text(parts[1] ..., named); parts[0] is null in a block set
  test,         // parts[0] is text(parts[1] ..., named)
  unary,        // text: not, -, +
  binary,       // text: + - * / // % **
  concat,       // parts joined by ~
  compare,      // parts[0] operators[0] parts[1] operators[1] parts[2] ...
  conjunction,  // parts[0] and parts[1]
  disjunction,  // parts[0] or parts[1]
  conditional,  // parts[0] if parts[1] else parts[2], which may be null
};

struct Expr {
  ExprType type;
  Place place;
  int depth = 1;
  std::string text;
  Constant constant;
  std::vector<ExprPtr> parts;
  std::vector<std::pair<std::string, ExprPtr>> named;
  std::vector<std::string> operators;
};

/// What a `for` or a `set` assigns to: a name, an attribute of a namespace, or several targets.
struct Target {
  Place place;
  std::string name;
  std::string attribute;      // of the namespace `name`; empty: the name itself
  std::vector<Target> parts;  // not empty: several
};

struct Stmt;
using Block = std::vector<Stmt>;
struct Branch;

enum class StmtType : std::uint8_t {
  text,          // text
  output,        // expr
  condition,     // branches, and `otherwise`
  loop,          // for target in expr if condition: body, else `otherwise`
  assign,        // set target = expr
  assign_block,  // set target: body, through expr (a chain of filters) where there is one
  macro,         // text(parameters): body
  generation,    // body
  leave,         // break
  next,          // continue
};

struct Parameter {
  std::string name;
  ExprPtr fallback;  // null: none
};

struct Stmt {
  StmtType type;
  Place place;
  std::string text;
  ExprPtr expr, condition;
  Target target;
  std::vector<Branch> branches;
  std::vector<Parameter> parameters;
  Block body, otherwise;
  bool recursive = false;
};

struct Branch {
  ExprPtr condition;
  Block body;
};

/// A parsed template.
struct Program {
  std::string name;
  Block body;
  bool generation = false;
  std::set<std::string, std::less<>> words;  // names, attributes and text constants
};

}  // namespace lomo::jinja

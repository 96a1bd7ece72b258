#include "parser.h"

#include <algorithm>
#include <utility>

namespace lomo::jinja {

namespace {

Stmt make_statement(StmtType type, Place place) {
  Stmt statement{};
  statement.type = type;
  statement.place = place;
  return statement;
}

}  // namespace

Parser::Level::Level(Parser& parser) : parser_(parser) {
  if (++parser.level_ > kDeepest) {
    --parser.level_;
    parser.fail("nested more than " + std::to_string(kDeepest) + " levels deep");
  }
}

Token Parser::take() {
  Token token = tokens_[at_];
  if (at_ + 1 < tokens_.size()) ++at_;
  return token;
}

bool Parser::is_symbol(std::string_view symbol) const {
  return now().type == TokenType::symbol && now().text == symbol;
}

bool Parser::is_name(std::string_view name) const {
  return now().type == TokenType::name && now().text == name;
}

bool Parser::skip_symbol(std::string_view symbol) {
  if (!is_symbol(symbol)) return false;
  take();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!is_name(name)) return false;
  take();
  return true;
}

void Parser::expect_symbol(std::string_view symbol) {
  if (!skip_symbol(symbol)) fail("expected '" + std::string(symbol) + "', found " + found());
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail("expected '" + std::string(name) + "', found " + found());
}

std::string Parser::take_name(std::string_view what) {
  if (now().type != TokenType::name) fail("expected " + std::string(what) + ", found " + found());
  return take().text;
}

void Parser::expect_block_end() {
  if (now().type != TokenType::block_end) fail("expected '%}', found " + found());
  take();
}

std::string Parser::found() const {
  switch (now().type) {
    case TokenType::block_end:
      return "'%}'";
    case TokenType::output_end:
      return "'}}'";
    case TokenType::string:
      return "a text";
    case TokenType::end:
      return "the end of the template";
    default:
      return "'" + now().text + "'";
  }
}

void Parser::fail(std::string const& message) const {
  refuse(program_.name, now().place, message);
}

void Parser::parse() {
  parse_block(program_.body, {}, {});
}

std::string Parser::parse_block(Block& block, std::initializer_list<std::string_view> ends,
                                Place opened) {
  const Level level(*this);
  while (now().type != TokenType::end) {
    Token token = take();
    if (token.type == TokenType::text) {
      Stmt& text = block.emplace_back(make_statement(StmtType::text, token.place));
      text.text = std::move(token.text);
    } else if (token.type == TokenType::output_begin) {
      ExprPtr value = parse_tuple(true, false);
      if (now().type != TokenType::output_end) fail("expected '}}', found " + found());
      take();
      block.emplace_back(make_statement(StmtType::output, token.place)).expr = std::move(value);
    } else {
      const Place place = now().place;
      std::string tag = take_name("the name of a tag");
      if (std::find(ends.begin(), ends.end(), tag) != ends.end()) return tag;
      block.push_back(parse_statement(tag, place));
    }
  }
  if (ends.size() == 0) return {};
  refuse(program_.name, opened, "this tag has no {% " + std::string(*(ends.end() - 1)) + " %}");
}

Stmt Parser::parse_statement(std::string const& tag, Place place) {
  if (tag == "if") return parse_if(place);
  if (tag == "for") return parse_for(place);
  if (tag == "set") return parse_set(place);
  if (tag == "macro") return parse_macro(place);
  if (tag == "generation") return parse_generation(place);
  if (tag == "break" || tag == "continue") {
    if (loops_ == 0) refuse(program_.name, place, "'" + tag + "' stands outside of a loop");
    expect_block_end();
    return make_statement(tag == "break" ? StmtType::leave : StmtType::next, place);
  }
  static constexpr std::string_view kOfJinja[] = {
      "autoescape", "block",  "call",    "debug",     "do",    "extends", "filter",
      "from",       "import", "include", "pluralize", "print", "trans",   "with"};
  if (std::find(std::begin(kOfJinja), std::end(kOfJinja), tag) != std::end(kOfJinja)) {
    refuse(program_.name, place, "the tag '" + tag + "' of Jinja is not supported");
  }
  refuse(program_.name, place, "unknown tag '" + tag + "'");
}

void Parser::parse_else(Stmt& statement, std::string const& tag, std::string_view end,
                        Place opened) {
  if (tag == "else") {
    expect_block_end();
    parse_block(statement.otherwise, {end}, opened);
  }
  expect_block_end();
}

Stmt Parser::parse_if(Place place) {
  Stmt statement = make_statement(StmtType::condition, place);
  std::string end = "elif";
  while (end == "elif") {
    Branch& branch = statement.branches.emplace_back();
    branch.condition = parse_tuple(false, false);
    expect_block_end();
    end = parse_block(branch.body, {"elif", "else", "endif"}, place);
  }
  parse_else(statement, end, "endif", place);
  return statement;
}

Stmt Parser::parse_for(Place place) {
  Stmt statement = make_statement(StmtType::loop, place);
  statement.target = parse_target(false);
  expect_name("in");
  statement.expr = parse_tuple(false, false);
  if (skip_name("if")) statement.condition = parse_expression();
  statement.recursive = skip_name("recursive");
  expect_block_end();
  ++loops_;
  const std::string end = parse_block(statement.body, {"else", "endfor"}, place);
  --loops_;
  parse_else(statement, end, "endfor", place);
  return statement;
}

Stmt Parser::parse_set(Place place) {
  Stmt statement = make_statement(StmtType::assign, place);
  statement.target = parse_target(true);
  if (skip_symbol("=")) {
    statement.expr = parse_tuple(true, false);
    expect_block_end();
    return statement;
  }
  statement.type = StmtType::assign_block;
  while (is_symbol("|")) statement.expr = parse_filter(std::move(statement.expr));
  expect_block_end();
  parse_block(statement.body, {"endset"}, place);
  expect_block_end();
  return statement;
}

Stmt Parser::parse_macro(Place place) {
  Stmt statement = make_statement(StmtType::macro, place);
  statement.text = take_name("the name of a macro");
  expect_symbol("(");
  while (!is_symbol(")")) {
    if (!statement.parameters.empty()) {
      expect_symbol(",");
      if (is_symbol(")")) break;
    }
    Parameter parameter{take_name("the name of a parameter"), nullptr};
    if (skip_symbol("=")) {
      parameter.fallback = parse_expression();
    } else if (!statement.parameters.empty() && statement.parameters.back().fallback) {
      fail("a parameter without a default follows one with a default");
    }
    statement.parameters.push_back(std::move(parameter));
  }
  expect_symbol(")");
  expect_block_end();
  const int loops = std::exchange(loops_, 0);
  parse_block(statement.body, {"endmacro"}, place);
  loops_ = loops;
  expect_block_end();
  return statement;
}

Stmt Parser::parse_generation(Place place) {
  if (generations_ > 0) {
    refuse(program_.name, place, "a generation block stands inside another one");
  }
  Stmt statement = make_statement(StmtType::generation, place);
  program_.generation = true;
  expect_block_end();
  ++generations_;
  const int loops = std::exchange(loops_, 0);
  parse_block(statement.body, {"endgeneration"}, place);
  loops_ = loops;
  --generations_;
  expect_block_end();
  return statement;
}

Target Parser::parse_one_target(bool attributes) {
  const Level level(*this);
  Target target{now().place, {}, {}, {}};
  if (skip_symbol("(")) {
    target = parse_target(attributes);
    expect_symbol(")");
    return target;
  }
  target.name = take_name("a name to assign to");
  for (std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (target.name == reserved) fail("'" + target.name + "' cannot be assigned to");
  }
  if (target.name == "loop" && (!attributes || loops_ > 0)) fail("'loop' cannot be assigned to");
  if (attributes && skip_symbol(".")) target.attribute = take_name("the name of an attribute");
  return target;
}

Target Parser::parse_target(bool attributes) {
  Target first = parse_one_target(attributes);
  if (!is_symbol(",")) return first;
  Target several{first.place, {}, {}, {}};
  several.parts.push_back(std::move(first));
  while (skip_symbol(",")) {
    if (is_name("in") || is_symbol("=") || is_symbol(")")) break;
    several.parts.push_back(parse_one_target(attributes));
  }
  return several;
}

}  // namespace lomo::jinja

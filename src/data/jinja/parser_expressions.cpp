#include <algorithm>
#include <utility>

#include "parser.h"

namespace lomo::jinja {

ExprPtr Parser::make(ExprType type, Place place, std::string text) const {
  auto node = std::make_unique<Expr>();
  node->type = type;
  node->place = place;
  node->text = std::move(text);
  return node;
}

void Parser::add(Expr& node, ExprPtr part) const {
  if (part) node.depth = std::max(node.depth, part->depth + 1);
  if (node.depth > kDeepest) {
    refuse(program_.name, node.place,
           "an expression of more than " + std::to_string(kDeepest) + " levels");
  }
  node.parts.push_back(std::move(part));
}

bool Parser::tuple_ends() const {
  return now().type == TokenType::block_end || now().type == TokenType::output_end ||
         now().type == TokenType::end || is_symbol(")");
}

ExprPtr Parser::parse_tuple(bool conditional, bool parenthesised) {
  const Place place = now().place;
  ExprPtr tuple = make(ExprType::tuple, place);
  bool comma = false;
  while (!tuple_ends()) {
    ExprPtr part = conditional ? parse_expression() : parse_or();
    if (tuple->parts.empty() && !is_symbol(",")) return part;
    add(*tuple, std::move(part));
    if (!skip_symbol(",")) break;
    comma = true;
  }
  if (!comma && !parenthesised) fail("expected an expression, found " + found());
  return tuple;
}

ExprPtr Parser::parse_conditional() {
  const Level level(*this);
  ExprPtr value = parse_or();
  while (is_name("if")) {
    ExprPtr node = make(ExprType::conditional, take().place);
    add(*node, std::move(value));
    add(*node, parse_or());
    add(*node, skip_name("else") ? parse_conditional() : nullptr);
    value = std::move(node);
  }
  return value;
}

ExprPtr Parser::parse_or() {
  ExprPtr left = parse_and();
  while (is_name("or")) {
    ExprPtr node = make(ExprType::disjunction, take().place);
    add(*node, std::move(left));
    add(*node, parse_and());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_and() {
  ExprPtr left = parse_not();
  while (is_name("and")) {
    ExprPtr node = make(ExprType::conjunction, take().place);
    add(*node, std::move(left));
    add(*node, parse_not());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_not() {
  if (!is_name("not")) return parse_compare();
  const Level level(*this);
  ExprPtr node = make(ExprType::unary, take().place, "not");
  add(*node, parse_not());
  return node;
}

ExprPtr Parser::parse_compare() {
  ExprPtr left = parse_sum();
  ExprPtr chain;
  while (true) {
    std::string op;
    const Place place = now().place;
    for (std::string_view symbol : {"==", "!=", "<", "<=", ">", ">="}) {
      if (is_symbol(symbol)) op = symbol;
    }
    if (op.empty() && is_name("in")) op = "in";
    if (op.empty() && is_name("not") && ahead().type == TokenType::name && ahead().text == "in") {
      take();
      op = "not in";
    }
    if (op.empty()) return chain ? std::move(chain) : std::move(left);
    take();
    if (!chain) {
      chain = make(ExprType::compare, place);
      add(*chain, std::move(left));
    }
    chain->operators.push_back(std::move(op));
    add(*chain, parse_sum());
  }
}

ExprPtr Parser::parse_sum() {
  ExprPtr left = parse_concat();
  while (is_symbol("+") || is_symbol("-")) {
    Token op = take();
    ExprPtr node = make(ExprType::binary, op.place, op.text);
    add(*node, std::move(left));
    add(*node, parse_concat());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_concat() {
  ExprPtr first = parse_product();
  if (!is_symbol("~")) return first;
  ExprPtr node = make(ExprType::concat, now().place);
  add(*node, std::move(first));
  while (skip_symbol("~")) add(*node, parse_product());
  return node;
}

ExprPtr Parser::parse_product() {
  ExprPtr left = parse_power();
  while (is_symbol("*") || is_symbol("/") || is_symbol("//") || is_symbol("%")) {
    Token op = take();
    ExprPtr node = make(ExprType::binary, op.place, op.text);
    add(*node, std::move(left));
    add(*node, parse_power());
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_power() {
  ExprPtr left = parse_unary(true);
  while (is_symbol("**")) {
    ExprPtr node = make(ExprType::binary, take().place, "**");
    add(*node, std::move(left));
    add(*node, parse_unary(true));
    left = std::move(node);
  }
  return left;
}

ExprPtr Parser::parse_unary(bool with_filters) {
  const Level level(*this);
  ExprPtr node;
  if (is_symbol("-") || is_symbol("+")) {
    Token op = take();
    node = make(ExprType::unary, op.place, op.text);
    add(*node, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_primary() {
  const Place place = now().place;
  if (is_symbol("(")) {
    take();
    ExprPtr node = parse_tuple(true, true);
    expect_symbol(")");
    return node;
  }
  if (is_symbol("[")) return parse_list();
  if (is_symbol("{")) return parse_dict();
  ExprPtr node = make(ExprType::constant, place);
  switch (now().type) {
    case TokenType::string: {
      std::string text;
      while (now().type == TokenType::string) text += take().text;
      program_.words.insert(text);
      node->constant = Text{std::move(text)};
      return node;
    }
    case TokenType::integer:
    case TokenType::floating:
      node->constant = take().constant;
      return node;
    case TokenType::name: {
      std::string name = take().text;
      if (name == "true" || name == "True") {
        node->constant = true;
      } else if (name == "false" || name == "False") {
        node->constant = false;
      } else if (name != "none" && name != "None") {
        node->type = ExprType::name;
        program_.words.insert(name);
        node->text = std::move(name);
      }
      return node;
    }
    default:
      fail("expected an expression, found " + found());
  }
}

ExprPtr Parser::parse_list() {
  ExprPtr node = make(ExprType::list, take().place);
  while (!is_symbol("]")) {
    if (!node->parts.empty()) {
      expect_symbol(",");
      if (is_symbol("]")) break;
    }
    add(*node, parse_expression());
  }
  take();
  return node;
}

ExprPtr Parser::parse_dict() {
  ExprPtr node = make(ExprType::dict, take().place);
  while (!is_symbol("}")) {
    if (!node->parts.empty()) {
      expect_symbol(",");
      if (is_symbol("}")) break;
    }
    add(*node, parse_expression());
    expect_symbol(":");
    add(*node, parse_expression());
  }
  take();
  return node;
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (is_symbol(".") || is_symbol("[")) {
      node = parse_subscript(std::move(node));
    } else if (is_symbol("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr node) {
  while (true) {
    if (is_symbol("|")) {
      node = parse_filter(std::move(node));
    } else if (is_name("is")) {
      node = parse_test(std::move(node));
    } else if (is_symbol("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filter(ExprPtr input) {
  expect_symbol("|");
  ExprPtr node = make(ExprType::filter, now().place);
  node->text = take_name("the name of a filter");
  add(*node, std::move(input));
  if (is_symbol("(")) parse_arguments(*node);
  return node;
}

ExprPtr Parser::parse_test(ExprPtr input) {
  const Place place = take().place;
  const bool negated = skip_name("not");
  ExprPtr node = make(ExprType::test, now().place);
  node->text = take_name("the name of a test");
  add(*node, std::move(input));
  const TokenType type = now().type;
  const bool word =
      type == TokenType::name && !is_name("else") && !is_name("or") && !is_name("and");
  if (is_symbol("(")) {
    parse_arguments(*node);
  } else if (word || type == TokenType::string || type == TokenType::integer ||
             type == TokenType::floating || is_symbol("[") || is_symbol("{")) {
    if (is_name("is")) fail("tests with 'is' cannot be chained");
    add(*node, parse_postfix(parse_primary()));
  }
  if (!negated) return node;
  ExprPtr opposite = make(ExprType::unary, place, "not");
  add(*opposite, std::move(node));
  return opposite;
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  const Token opened = take();
  if (opened.text == ".") {
    if (now().type == TokenType::integer) {
      ExprPtr node = make(ExprType::item, opened.place);
      add(*node, std::move(object));
      ExprPtr index = make(ExprType::constant, now().place);
      index->constant = take().constant;
      add(*node, std::move(index));
      return node;
    }
    ExprPtr node = make(ExprType::attribute, opened.place, take_name("a name or a number"));
    program_.words.insert(node->text);
    add(*node, std::move(object));
    return node;
  }
  const auto part = [&]() -> ExprPtr {
    return is_symbol(":") || is_symbol("]") ? nullptr : parse_expression();
  };
  ExprPtr first = part();
  if (!is_symbol(":")) {
    if (!first) fail("expected an index, found " + found());
    if (is_symbol(",")) fail("an index of several parts is not supported");
    expect_symbol("]");
    ExprPtr node = make(ExprType::item, opened.place);
    add(*node, std::move(object));
    add(*node, std::move(first));
    return node;
  }
  ExprPtr node = make(ExprType::slice, opened.place);
  add(*node, std::move(object));
  add(*node, std::move(first));
  take();
  add(*node, part());
  add(*node, skip_symbol(":") ? part() : nullptr);
  expect_symbol("]");
  return node;
}

void Parser::parse_arguments(Expr& call) {
  expect_symbol("(");
  bool first = true;
  while (!is_symbol(")")) {
    if (!first) {
      expect_symbol(",");
      if (is_symbol(")")) break;
    }
    first = false;
    if (is_symbol("*") || is_symbol("**")) {
      fail("arguments with " + now().text + " are not supported");
    }
    if (now().type == TokenType::name && ahead().type == TokenType::symbol && ahead().text == "=") {
      std::string name = take().text;
      take();
      ExprPtr value = parse_expression();
      call.depth = std::max(call.depth, value->depth + 1);
      call.named.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call.named.empty()) fail("a value without a name follows a named one");
      add(call, parse_expression());
    }
  }
  take();
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  ExprPtr node = make(ExprType::call, now().place);
  add(*node, std::move(callee));
  parse_arguments(*node);
  return node;
}

}  // namespace lomo::jinja

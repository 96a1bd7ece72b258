#pragma once
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "lexer.h"
#include "syntax.h"

namespace lomo::jinja {

/// Recursive descent over the tokens, with Jinja's precedences. Every error names its place.
class Parser {
 public:
  Parser(std::vector<Token> tokens, Program& program)
      : tokens_(std::move(tokens)), program_(program) {}

  /// The whole template into program.body.
  void parse();

 private:
  /// Counts levels while it lives.
  class Level {
   public:
    explicit Level(Parser& parser);
    ~Level() { --parser_.level_; }
    Level(Level const&) = delete;
    Level& operator=(Level const&) = delete;

   private:
    Parser& parser_;
  };

  Token const& now() const { return tokens_[at_]; }
  Token const& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take();
  bool is_symbol(std::string_view symbol) const;
  bool is_name(std::string_view name) const;
  bool skip_symbol(std::string_view symbol);
  bool skip_name(std::string_view name);
  void expect_symbol(std::string_view symbol);
  void expect_name(std::string_view name);
  std::string take_name(std::string_view what);
  void expect_block_end();
  std::string found() const;
  [[noreturn]] void fail(std::string const& message) const;

  /// Statements up to one of the tags `ends`, which is taken, name included; that name.
  std::string parse_block(Block& block, std::initializer_list<std::string_view> ends, Place opened);
  /// After a block that ended at `tag`: the one of its "else", if that is it, up to `end`.
  void parse_else(Stmt& statement, std::string const& tag, std::string_view end, Place opened);
  Stmt parse_statement(std::string const& tag, Place place);
  Stmt parse_if(Place place);
  Stmt parse_for(Place place);
  Stmt parse_set(Place place);
  Stmt parse_macro(Place place);
  Stmt parse_generation(Place place);
  Target parse_target(bool attributes);
  Target parse_one_target(bool attributes);

  ExprPtr parse_expression() { return parse_conditional(); }
  /// Commas make a tuple.
  ExprPtr parse_tuple(bool conditional, bool parenthesised);
  bool tuple_ends() const;
  ExprPtr parse_conditional();
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  ExprPtr parse_sum();
  ExprPtr parse_concat();
  ExprPtr parse_product();
  ExprPtr parse_power();
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters_and_tests(ExprPtr node);
  ExprPtr parse_filter(ExprPtr node);
  ExprPtr parse_test(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  void parse_arguments(Expr& call);
  ExprPtr parse_call(ExprPtr callee);

  ExprPtr make(ExprType type, Place place, std::string text = {}) const;
  /// Adds a part and keeps count of the depth.
  void add(Expr& node, ExprPtr part) const;

  std::vector<Token> tokens_;
  Program& program_;
  std::size_t at_ = 0;
  int level_ = 0;
  int loops_ = 0;  // that are open: break and continue belong to one
  int generations_ = 0;
};

}  // namespace lomo::jinja

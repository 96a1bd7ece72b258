#pragma once
#include <ctime>
#include <string>
#include <vector>

#include "calls.h"
#include "syntax.h"
#include "value.h"

namespace lomo::jinja {

/// Runs a program once. Scopes are those of Jinja: the bodies of loops, macros, set blocks and
/// generation blocks have their own; those of if do not.
class Evaluator {
 public:
  Evaluator(Program const& program, Arena& arena, std::tm const& now)
      : program_(program), arena_(arena), now_(now) {}

  Rendering run(Json const& variables);

 private:
  static constexpr int kDeepestRun = 500;
  enum class Flow { on, leave, next };

  /// Counts levels of evaluation while it lives, so that recursion cannot exhaust the stack.
  class Level {
   public:
    explicit Level(Evaluator& evaluator) : evaluator_(evaluator) {
      if (++evaluator.level_ > kDeepestRun) {
        throw Fault("evaluation is nested more than " + std::to_string(kDeepestRun) +
                    " levels deep");
      }
    }
    ~Level() { --evaluator_.level_; }
    Level(Level const&) = delete;
    Level& operator=(Level const&) = delete;

   private:
    Evaluator& evaluator_;
  };

  Flow run(Block const& block);
  Flow run(Stmt const& statement);
  Flow run_condition(Stmt const& statement);
  Flow run_loop(Stmt const& statement, Value const& over, int depth);
  Loop* make_loop(Stmt const& statement, Value const& over, int depth);
  void run_generation(Stmt const& statement);
  /// What a block writes, instead of writing it, in a scope.
  std::string capture(Block const& block, Scope* scope);
  void assign(Target const& target, Value const& value);
  void write(std::string_view text);

  Value eval(Expr const& node);
  Value eval_part(Expr const& node, std::size_t part);
  Value constant(Expr const& node) const;
  Value name(Expr const& node);
  Value unary(Expr const& node);
  Value compare(Expr const& node);
  Value concat(Expr const& node);
  Value conditional(Expr const& node);
  Value dict(Expr const& node);
  Value call(Expr const& node);
  Value call_builtin(Builtin function, Arguments const& arguments);
  Value call_macro(Macro const& macro, Arguments const& arguments);
  Value call_loop(Loop const& loop, Arguments const& arguments);
  Arguments arguments(Expr const& node);
  std::vector<Value> values(Expr const& node);

  Program const& program_;
  Arena& arena_;
  std::tm now_;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  Rendering result_;
  Place here_;
  int level_ = 0;
  Value block_;  // what a block set hands to its filters
};

}  // namespace lomo::jinja

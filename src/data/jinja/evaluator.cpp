#include "evaluator.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "lexer.h"

namespace lomo::jinja {

namespace {

/// Sets a variable and gives it its old value back.
template <class T>
class Restored {
 public:
  Restored(T& place, T value) : place_(place), old_(std::exchange(place, std::move(value))) {}
  ~Restored() { place_ = std::move(old_); }
  Restored(Restored const&) = delete;
  Restored& operator=(Restored const&) = delete;

 private:
  T& place_;
  T old_;
};

void set(Scope& scope, std::string_view name, Value const& value) {
  for (auto& [known, old] : scope.names) {
    if (known == name) {
      old = value;
      return;
    }
  }
  scope.names.emplace_back(name, value);
}

}  // namespace

Rendering Evaluator::run(Json const& variables) {
  try {
    scope_ = arena_.scope(nullptr);
    for (auto const& [name, value] : variables.items()) {
      scope_->names.emplace_back(name, arena_.from_json(value));
    }
    out_ = &result_.text;
    run(program_.body);
  } catch (Fault const& fault) {
    refuse(program_.name, here_, fault.what());
  }
  return std::move(result_);
}

void Evaluator::write(std::string_view text) {
  arena_.charge(text.size());
  out_->append(text);
}

Evaluator::Flow Evaluator::run(Block const& block) {
  for (Stmt const& statement : block) {
    const Flow flow = run(statement);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Evaluator::Flow Evaluator::run(Stmt const& statement) {
  const Level level(*this);
  here_ = statement.place;
  arena_.spend(1);
  switch (statement.type) {
    case StmtType::text:
      write(statement.text);
      break;
    case StmtType::output: {
      const Value value = eval(*statement.expr);
      here_ = statement.place;
      write(to_text(arena_, value));
      break;
    }
    case StmtType::condition:
      return run_condition(statement);
    case StmtType::loop:
      return run_loop(statement, eval(*statement.expr), 0);
    case StmtType::assign:
      assign(statement.target, eval(*statement.expr));
      break;
    case StmtType::assign_block: {
      // Names that the block sets are its own.
      Value value = arena_.text(capture(statement.body, arena_.scope(scope_)));
      if (statement.expr) {
        const Restored<Value> block(block_, value);
        value = eval(*statement.expr);
      }
      assign(statement.target, value);
      break;
    }
    case StmtType::macro:
      set(*scope_, statement.text, arena_.macro(&statement, scope_));
      break;
    case StmtType::generation:
      run_generation(statement);
      break;
    case StmtType::leave:
      return Flow::leave;
    case StmtType::next:
      return Flow::next;
  }
  return Flow::on;
}

Evaluator::Flow Evaluator::run_condition(Stmt const& statement) {
  for (Branch const& branch : statement.branches) {
    if (truth(eval(*branch.condition))) return run(branch.body);
  }
  return run(statement.otherwise);
}

Loop* Evaluator::make_loop(Stmt const& statement, Value const& over, int depth) {
  Loop* loop = arena_.loop();
  loop->depth = depth;
  loop->scope = scope_;
  loop->statement = statement.recursive ? &statement : nullptr;
  // Values are taken one at a time, since a condition may depend on what the body did before.
  loop->read = [this, &statement, values = iterate(arena_, over), at = std::size_t{0},
                scope = scope_](Loop& self) mutable {
    while (at < values.size()) {
      const Value value = values[at++];
      if (statement.condition) {
        const Restored<Scope*> inside(scope_, arena_.scope(scope));
        assign(statement.target, value);
        if (!truth(eval(*statement.condition))) continue;
      }
      arena_.charge(sizeof(Value));
      self.values.push_back(value);
      return true;
    }
    return false;
  };
  return loop;
}

Evaluator::Flow Evaluator::run_loop(Stmt const& statement, Value const& over, int depth) {
  here_ = statement.expr->place;
  Loop* loop = make_loop(statement, over, depth);
  if (!loop->reaches(0)) {
    const Restored<Scope*> inside(scope_, arena_.scope(scope_));
    return run(statement.otherwise);
  }
  for (; loop->reaches(loop->index); ++loop->index) {
    const Restored<Scope*> inside(scope_, arena_.scope(scope_));
    set(*scope_, "loop", loop);
    assign(statement.target, loop->values[loop->index]);
    if (run(statement.body) == Flow::leave) break;
  }
  return Flow::on;
}

void Evaluator::run_generation(Stmt const& statement) {
  if (out_ != &result_.text) {
    throw Fault("a generation block inside a macro or a block that is set is not supported");
  }
  const std::size_t begin = out_->size();
  const Restored<Scope*> inside(scope_, arena_.scope(scope_));
  run(statement.body);
  result_.generation.push_back({begin, out_->size()});
}

std::string Evaluator::capture(Block const& block, Scope* scope) {
  std::string text;
  const Restored<Scope*> inside(scope_, scope);
  const Restored<std::string*> elsewhere(out_, &text);
  run(block);
  return text;
}

void Evaluator::assign(Target const& target, Value const& value) {
  here_ = target.place;
  if (!target.parts.empty()) {
    const std::vector<Value> values = iterate(arena_, value);
    if (values.size() != target.parts.size()) {
      throw Fault(std::to_string(values.size()) + " values cannot be assigned to " +
                  std::to_string(target.parts.size()) + " names");
    }
    for (std::size_t i = 0; i < values.size(); ++i) assign(target.parts[i], values[i]);
    return;
  }
  if (target.attribute.empty()) return set(*scope_, target.name, value);
  for (Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    for (auto const& [known, found] : scope->names) {
      if (known != target.name) continue;
      auto* const* names = get<Namespace*>(found);
      if (names == nullptr) throw Fault("'" + target.name + "' is not a namespace");
      if (target.attribute.starts_with('_')) {
        throw Fault("names in a namespace cannot begin with _");
      }
      for (auto& [name, old] : (*names)->members) {
        if (name == target.attribute) {
          old = value;
          return;
        }
      }
      arena_.charge(target.attribute.size() + sizeof(Value));
      (*names)->members.emplace_back(target.attribute, value);
      return;
    }
  }
  throw Fault("'" + target.name + "' is undefined");
}

}  // namespace lomo::jinja

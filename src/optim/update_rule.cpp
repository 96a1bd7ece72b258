#include "lomo/optim/update_rule.h"

#include <cmath>
#include <map>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/parallel/sum_over_ranks.h"

namespace lomo {

void UpdateRule::apply_rows(Parameter& parameter, Tensor, Tensor, StepContext const&, Tensor) {
  throw Error(parameter.name + ": this update rule needs the whole gradient");
}

void UpdateRule::apply_partials(Parameter& parameter, RowRange, Tensor, StepContext const&,
                                Tensor) {
  throw Error(parameter.name + ": this update rule needs the sum of partial sums of ranks");
}

namespace {

/// How a rule rounds one tensor in one step, starting at row `first`.
RoundingPlan rounding_plan(OptimizerOptions const& options, Parameter const& parameter,
                           std::int64_t first, StepContext const& step) {
  return {options.rounding,
          random_key(options.seed, "round", parameter.name, static_cast<std::uint64_t>(step.step)),
          parameter.first_element() + first * parameter.matrix().cols(), step.rounding_stats};
}

/// f32 optimizer state of one kind: a zeroed buffer a parameter.
class State {
 public:
  State(Backend& backend, std::string suffix) : backend_(backend), suffix_(std::move(suffix)) {}

  /// State of shape `whole`: the rows of it that the rank owns of the parameter, or all of it.
  void add_rows(Parameter const& parameter, Shape whole) {
    add(parameter, whole, parameter.sharded() ? parameter.owned : RowRange{0, whole.rows()},
        parameter.sharded());
  }
  void add_all(Parameter const& parameter, Shape whole) {
    add(parameter, whole, {0, whole.rows()}, false);
  }
  Tensor of(Parameter const& parameter) const { return kept_.at(parameter.name).buffer; }
  void list(std::vector<StoredTensor>& out) const {
    for (auto const& [name, kept] : kept_) out.push_back(kept.stored);
  }

 private:
  struct Kept {
    Buffer buffer;
    StoredTensor stored;
  };
  void add(Parameter const& parameter, Shape whole, RowRange owned, bool sharded) {
    const std::string name = parameter.name + suffix_;
    const Shape here = whole.rank() == 2 ? Shape(owned.count, whole.cols()) : Shape(owned.count);
    Buffer buffer = backend_.allocate(here, DType::f32, Category::optimizer, name);
    backend_.zero(buffer);
    const StoredTensor stored{name, whole, owned, sharded, buffer};
    kept_.emplace(parameter.name, Kept{std::move(buffer), stored});
  }

  Backend& backend_;
  std::string suffix_;
  std::map<std::string, Kept> kept_;
};

void for_each_parameter(std::vector<ParameterGroup*> const& groups, auto const& f) {
  for (auto const* group : groups) {
    for (auto const& parameter : group->members()) f(parameter);
  }
}

/// w -= lr g: LOMO when fused, plain SGD when not. No state.
class Sgd final : public UpdateRule {
 public:
  Sgd(Backend& backend, OptimizerOptions const& options) : backend_(backend), options_(options) {}

  Residency residency() const override { return Residency::tile; }
  bool takes_rows() const override { return options_.weight_decay == 0; }

  bool fuses_reduction() const override { return true; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    apply_partials(parameter, {first, g.rows()}, g, step, found_inf);
  }
  void apply_partials(Parameter& parameter, RowRange rows, Tensor partials, StepContext const& step,
                      Tensor found_inf) override {
    backend_.sgd_update(parameter.matrix().row_block(rows.first, rows.count), partials,
                        sgd_step(step), rounding_plan(options_, parameter, rows.first, step),
                        found_inf);
  }
  void apply_rows(Parameter& parameter, Tensor rows, Tensor g, StepContext const& step,
                  Tensor found_inf) override {
    backend_.sgd_update(parameter.value, g, sgd_step(step),
                        rounding_plan(options_, parameter, 0, step), found_inf, rows);
  }

 private:
  Backend::SgdStep sgd_step(StepContext const& step) const {
    return {step.lr, options_.weight_decay, step.gradient};
  }
  Backend& backend_;
  OptimizerOptions options_;
};

/// m = momentum m + g; w -= lr m.
class MomentumSgd final : public UpdateRule {
 public:
  MomentumSgd(Backend& backend, OptimizerOptions const& options,
              std::vector<ParameterGroup*> const& groups)
      : backend_(backend), options_(options), momentum_(backend, ".momentum") {
    for_each_parameter(groups,
                       [this](Parameter const& p) { momentum_.add_rows(p, p.whole_matrix()); });
  }

  Residency residency() const override { return Residency::tile; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Tensor m = momentum_.of(parameter).row_block(first, g.rows());
    backend_.momentum_update(m, g, options_.momentum, step.gradient, found_inf);
    backend_.sgd_update(parameter.matrix().row_block(first, g.rows()), g,
                        {step.lr, options_.weight_decay, GradientScaling{}},
                        rounding_plan(options_, parameter, first, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    momentum_.list(out);
    return out;
  }

 private:
  Backend& backend_;
  OptimizerOptions options_;
  State momentum_;
};

class AdamW final : public UpdateRule {
 public:
  AdamW(Backend& backend, OptimizerOptions const& options,
        std::vector<ParameterGroup*> const& groups)
      : backend_(backend), options_(options), first_(backend, ".m"), second_(backend, ".v") {
    for_each_parameter(groups, [this](Parameter const& p) {
      first_.add_rows(p, p.whole_matrix());
      second_.add_rows(p, p.whole_matrix());
    });
  }

  Residency residency() const override { return Residency::tile; }

  void apply(Parameter& parameter, std::int64_t first, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Backend::AdamStep adam{step.lr,           options_.beta1,        options_.beta2,
                                 options_.adam_eps, options_.weight_decay, step.step,
                                 step.gradient};
    backend_.adamw_update(parameter.matrix().row_block(first, g.rows()),
                          first_.of(parameter).row_block(first, g.rows()),
                          second_.of(parameter).row_block(first, g.rows()), g, adam,
                          rounding_plan(options_, parameter, first, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    first_.list(out);
    second_.list(out);
    return out;
  }

 private:
  Backend& backend_;
  OptimizerOptions options_;
  State first_, second_;
};

/// Factored second moment, update clipped to RMS clip_threshold, step scaled by the weight's RMS.
/// On ranks the row factors are those of the rows owned here; sums over rows are of all ranks.
class AdaLomo final : public UpdateRule {
 public:
  AdaLomo(Backend& backend, OptimizerOptions const& options,
          std::vector<ParameterGroup*> const& groups, Communicator& ranks)
      : backend_(backend),
        options_(options),
        ranks_(ranks),
        row_(backend, ".row"),
        col_(backend, ".col"),
        sums_(backend.allocate(Shape(3), DType::f64, Category::workspace, "adalomo sums")) {
    for_each_parameter(groups, [this](Parameter const& p) {
      const Shape whole = p.whole_matrix();
      row_.add_rows(p, Shape(whole.rows()));
      col_.add_all(p, Shape(whole.cols()));
    });
  }

  Residency residency() const override { return Residency::tensor; }

  void apply(Parameter& parameter, std::int64_t, Tensor g, StepContext const& step,
             Tensor found_inf) override {
    const Tensor w = parameter.matrix();    // (owned,I)
    const Tensor row = row_.of(parameter);  // (owned)
    const Tensor col = col_.of(parameter);  // (I)
    update_moments(parameter, g, step, found_inf);

    const Tensor norms = sums_.tensor().row_block(0, 2);
    const std::int64_t rows = rows_of(parameter);  // O
    const Backend::AdaLomoTensor whole{sums_.tensor().row_block(2, 1), rows, rows * w.cols()};
    backend_.zero(sums_);
    backend_.sum(whole.row_total, row);
    sum_if_sharded(parameter, whole.row_total);
    backend_.adalomo_statistics(norms, w, g, row, col, whole, step.gradient);
    sum_if_sharded(parameter, norms);
    const Backend::AdaLomoStep update{step.lr, options_.weight_decay, options_.clip_threshold,
                                      options_.eps2, step.gradient};
    backend_.adalomo_update(w, g, row, col, norms, whole, update,
                            rounding_plan(options_, parameter, 0, step), found_inf);
  }
  std::vector<StoredTensor> state() override {
    std::vector<StoredTensor> out;
    row_.list(out);
    col_.list(out);
    return out;
  }

 private:
  static std::int64_t rows_of(Parameter const& parameter) {
    return parameter.sharded() ? parameter.whole.rows() : 1;
  }
  void sum_if_sharded(Parameter const& parameter, Tensor x) {
    if (parameter.sharded()) sum_over_ranks(backend_, ranks_, x, x);
  }

  void update_moments(Parameter const& parameter, Tensor g, StepContext const& step,
                      Tensor found_inf) {
    const Tensor row = row_.of(parameter), col = col_.of(parameter);
    const auto beta = static_cast<float>(
        1.0 - std::pow(static_cast<double>(step.step), static_cast<double>(options_.decay_rate)));
    Buffer row_sums =
        backend_.allocate(row.shape(), DType::f32, Category::workspace, "adalomo row sums");
    Buffer col_sums =
        backend_.allocate(col.shape(), DType::f32, Category::workspace, "adalomo column sums");
    backend_.square_sums(row_sums, col_sums, g, step.gradient);
    sum_if_sharded(parameter, col_sums);
    const auto one_over = [](std::int64_t n) { return 1.0f / static_cast<float>(n); };
    backend_.decay_average(row, row_sums, beta, one_over(g.cols()), options_.eps1, found_inf);
    backend_.decay_average(col, col_sums, beta, one_over(rows_of(parameter)), options_.eps1,
                           found_inf);
  }

  Backend& backend_;
  OptimizerOptions options_;
  Communicator& ranks_;
  State row_, col_;
  Buffer sums_;  // (3) f64: U^2, w^2, total of row
};

}  // namespace

std::unique_ptr<UpdateRule> make_update_rule(Backend& backend, OptimizerOptions const& options,
                                             std::vector<ParameterGroup*> const& groups,
                                             Communicator& ranks) {
  switch (options.kind) {
    case OptimizerKind::lomo:
      return std::make_unique<Sgd>(backend, options);
    case OptimizerKind::sgd:
      if (options.momentum == 0) return std::make_unique<Sgd>(backend, options);
      return std::make_unique<MomentumSgd>(backend, options, groups);
    case OptimizerKind::adamw:
      return std::make_unique<AdamW>(backend, options, groups);
    case OptimizerKind::adalomo:
      return std::make_unique<AdaLomo>(backend, options, groups, ranks);
  }
  throw Error("unknown optimizer");
}

}  // namespace lomo

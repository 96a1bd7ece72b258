// What the CPU engine's products promise beside what every engine's do.
#include <cstddef>
#include <vector>

#include "engines.h"
#include "lomo/cpu/workspace.h"

using namespace lomo;
using namespace lomo::test;

namespace {

struct Sizes {
  std::int64_t n, i, o;
};

}  // namespace

TEST_CASE("products do not depend on the number of threads where the kernels allow") {
  if (!cpu::Gemm::extents_do_not_matter()) {
    WARN("not promised on this machine: oneDNN's kernels cut a product by its threads");
    return;
  }
  const auto one = setups()[0].make();
  const auto two = setups()[1].make();
  for (const DType type : {DType::f32, DType::bf16, DType::f16}) {
    for (Sizes const& z : {Sizes{130, 288, 200}, Sizes{513, 129, 65}, Sizes{1, 300, 500}}) {
      const auto run = [&](Backend& be) {
        const Buffer x = make(be, Shape(z.n, z.i), type, random_values("x", z.n * z.i));
        const Buffer w = make(be, Shape(z.o, z.i), type, random_values("w", z.o * z.i));
        const Buffer y = make_poisoned(be, Shape(z.n, z.o), type);
        const Buffer dx = make_poisoned(be, Shape(z.n, z.i), type);
        const Buffer g = make_poisoned(be, Shape(z.o, z.i), DType::f32);
        be.linear(y, x, w);
        be.linear_backward_input(dx, y, w);
        be.linear_backward_weight(g, y, x);
        std::vector<std::byte> all = bits(be, y);
        for (const Tensor t : {dx.tensor(), g.tensor()}) {
          const auto more = bits(be, t);
          all.insert(all.end(), more.begin(), more.end());
        }
        return all;
      };
      CHECK(run(*one) == run(*two));
    }
  }
}

TEST_CASE("products take the workspace that is declared, and give it back") {
  const auto be = setups()[2].make();
  const Buffer x = make(*be, Shape(64, 96), DType::bf16, random_values("x", 64 * 96));
  const Buffer w = make(*be, Shape(32, 96), DType::bf16, random_values("w", 32 * 96));
  const Buffer y = make_poisoned(*be, Shape(64, 32), DType::bf16);
  be->linear(y, x, w);
  CHECK(be->ledger().current(Category::workspace) == 0);
  const auto at = static_cast<std::size_t>(Category::workspace);
  const std::size_t declared = CpuWorkspaces(2).linear(y, x);
  const std::size_t unit = Slab::kAlignment;
  CHECK(be->ledger().peak_by_category()[at] == (declared + unit - 1) / unit * unit);
}

// The engine's side stream: a right program gives the same bits in whatever order the streams go,
// one that leaves out a wait does not.
#include <algorithm>
#include <limits>

#include "engines.h"
#include "lomo/optim/sinks/fused_update.h"

using namespace lomo;
using namespace lomo::test;

namespace {

using cuda_host::Ran;

constexpr std::uint64_t kSeeds = 12;
constexpr std::int64_t kTokens = 8, kInputs = 32, kRows = 24, kTile = 4;
constexpr std::int64_t kTiles = kRows / kTile;
constexpr Backend::SgdStep kStep{0.5f, 0, {}};

/// Streams as the engine makes them, after the default one.
constexpr int kCompute = 1, kSecond = 2;

/// An engine on a fresh device, whose streams go on by one seed after another.
struct Gpu {
  Gpu() {
    cuda_host::reset();
    engine = std::make_unique<cuda::CudaBackend>(EngineOptions{.memory = std::size_t{40} << 20});
  }
  std::unique_ptr<cuda::CudaBackend> engine;
};

/// A matrix W, and the factors of its gradient.
struct Layer {
  Layer(Gpu& gpu, std::uint64_t seed) : engine(*gpu.engine) {
    cuda_host::follow({cuda_host::Order::forward, seed});
    fill(engine, group.stacked(), random_values("w", kRows * kInputs));
    dy = make(engine, Shape(kTokens, kRows), DType::bf16, random_values("dy", kTokens * kRows));
    x = make(engine, Shape(kTokens, kInputs), DType::bf16, random_values("x", kTokens * kInputs));
    engine.synchronize();
  }

  std::vector<std::byte> weights() {
    engine.synchronize();
    return bits(engine, group.stacked());
  }
  LinearOffer offer() const { return {Factor::lent(dy), Factor::lent(x)}; }

  Backend& engine;
  ParameterGroup group{engine, DType::bf16, {{"w", kRows}}, kInputs};
  Buffer dy, x;
};

/// How many seeds give other weights than when nothing is issued beside anything.
template <class Program>
std::uint64_t wrong_seeds(Program const& program) {
  Gpu gpu;
  const auto weights = [&](std::uint64_t seed, bool on_side_stream) {
    Layer layer(gpu, seed);
    program(layer, on_side_stream);
    return layer.weights();
  };
  const auto right = weights(0, false);
  CHECK(right != Layer(gpu, 0).weights());
  std::uint64_t wrong = 0;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) wrong += weights(seed, true) != right;
  return wrong;
}

/// The tiles of dW through two pieces of memory, each applied on the side stream while the next is
/// computed. `waits`: before its memory is used again.
void update(Layer& layer, bool on_side_stream, bool waits) {
  Backend& be = layer.engine;
  Buffer pieces[2];
  Backend::Fence used[2] = {};
  for (Buffer& piece : pieces) piece = make_poisoned(be, Shape(kTile, kInputs), DType::f32);
  for (std::int64_t k = 0; k < kTiles; ++k) {
    const Tensor g = pieces[k % 2];
    if (waits) be.wait(used[k % 2]);
    be.linear_backward_weight(g, layer.dy.tensor().col_block(k * kTile, kTile), layer.x);
    const auto apply = [&] {
      be.sgd_update(layer.group.stacked().row_block(k * kTile, kTile), g, kStep, {});
    };
    on_side_stream ? static_cast<void>(used[k % 2] = be.on_side_stream(apply)) : apply();
  }
  be.synchronize();
}

/// Updates, row by row, from a copy of the gradient in memory that is then given back, and that the
/// compute stream takes and overwrites. `inside`: it is given back where the updates are issued.
void update_from_copy(Layer& layer, bool on_side_stream, bool inside) {
  Backend& be = layer.engine;
  const Shape shape(kRows, kInputs);
  const Buffer g = make(be, shape, DType::f32, random_values("g", shape.numel()));
  Buffer copy = be.allocate(shape, DType::f32, Category::workspace, "copy");
  const auto use = [&] {
    be.copy(copy, g);
    for (std::int64_t row = 0; row < kRows; ++row) {
      be.sgd_update(layer.group.stacked().row_block(row, 1), copy.tensor().row_block(row, 1), kStep,
                    {});
    }
    if (inside) copy.reset();
  };
  on_side_stream ? static_cast<void>(be.on_side_stream(use)) : use();
  copy.reset();
  const Buffer other = be.allocate(shape, DType::f32, Category::workspace, "other");
  be.zero(other);
  be.synchronize();
}

/// The tiles of a fused update of one matrix, in the order in which the device came to them: the
/// k-th product on the compute stream, the last kernel of the k-th update on the second.
struct Order {
  std::vector<std::size_t> products, updates;
};

Order order_of_update(Gpu& gpu, std::uint64_t seed) {
  Layer layer(gpu, seed);
  auto rule = make_update_rule(layer.engine, {}, {&layer.group});
  StepContext step;
  step.lr = 0.5f;
  std::vector<Ran> log;
  cuda_host::log_to(&log);
  FusedUpdate sink({layer.engine, TileSize{kTile * kInputs * sizeof(float)}, *rule}, step, 1);
  sink.offer(layer.group, layer.offer(), true);
  layer.engine.synchronize();
  cuda_host::log_to(nullptr);

  Order order;
  std::vector<std::size_t> on_side_stream;
  for (std::size_t i = 0; i < log.size(); ++i) {
    if (log[i] == Ran{Ran::What::product, kCompute}) order.products.push_back(i);
    if (log[i] == Ran{Ran::What::kernel, kSecond}) on_side_stream.push_back(i);
  }
  const auto tiles = static_cast<std::size_t>(kTiles);
  REQUIRE(order.products.size() == tiles);
  REQUIRE(!on_side_stream.empty());
  REQUIRE(on_side_stream.size() % tiles == 0);
  const std::size_t each = on_side_stream.size() / tiles;
  for (std::size_t k = 1; k <= tiles; ++k) order.updates.push_back(on_side_stream[k * each - 1]);
  return order;
}

}  // namespace

TEST_CASE("an update on the side stream is right under every order, and wrong without the wait") {
  CHECK(wrong_seeds([](Layer& l, bool on_side_stream) { update(l, on_side_stream, true); }) == 0);
  CHECK(wrong_seeds([](Layer& l, bool on_side_stream) { update(l, on_side_stream, false); }) > 0);
}

TEST_CASE("memory that is freed beside other work is not given to it before the wait") {
  CHECK(wrong_seeds(
            [](Layer& l, bool on_side_stream) { update_from_copy(l, on_side_stream, true); }) == 0);
  CHECK(wrong_seeds(
            [](Layer& l, bool on_side_stream) { update_from_copy(l, on_side_stream, false); }) > 0);
}

TEST_CASE("the product of the next gradient tile runs beside the update of this one, no further") {
  Gpu gpu;
  std::uint64_t on_side_stream =
      0;  // seeds under which a product was done before the update before it
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Order order = order_of_update(gpu, seed);
    bool overlaps = false;
    for (std::size_t k = 0; k + 1 < order.products.size(); ++k) {
      CHECK(order.products[k] < order.updates[k]);
      overlaps = overlaps || order.products[k + 1] < order.updates[k];
      if (k + 2 < order.products.size()) CHECK(order.updates[k] < order.products[k + 2]);
    }
    on_side_stream += overlaps;
  }
  CHECK(on_side_stream > 0);
}

TEST_CASE("a tile that is not finite stops those after it, whatever order the streams go in") {
  Gpu gpu;
  for (std::uint64_t seed = 0; seed < kSeeds; ++seed) {
    Layer layer(gpu, seed);
    auto values = test::values(layer.engine, layer.dy);
    const std::int64_t bad = 2 * kTile;  // the first column of the third tile
    values[static_cast<std::size_t>(bad)] = std::numeric_limits<double>::infinity();
    fill(layer.engine, layer.dy, values);
    const auto before = test::values(layer.engine, layer.group.stacked());
    auto rule = make_update_rule(layer.engine, {}, {&layer.group});
    StepContext step;
    step.lr = 0.5f;
    FusedUpdate sink({layer.engine, TileSize{kTile * kInputs * sizeof(float)}, *rule}, step, 1);
    sink.offer(layer.group, layer.offer(), true);
    CHECK(sink.outcome().stopped_in == "w");
    const auto after = test::values(layer.engine, layer.group.stacked());
    const auto changed = [&](std::int64_t row) {
      const auto first = static_cast<std::ptrdiff_t>(row * kInputs);
      return !std::equal(before.begin() + first, before.begin() + first + kInputs,
                         after.begin() + first);
    };
    for (std::int64_t row = 0; row < kRows; ++row) CHECK(changed(row) == (row < bad));
  }
}

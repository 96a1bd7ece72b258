#include "gemm.h"

#include <omp.h>

#include <compare>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include "lomo/core/error.h"

namespace lomo::cpu {
namespace {

bool has(dnnl::cpu_isa wanted) {  // the values are sets of instruction bits
  const auto mask = static_cast<unsigned>(wanted);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & mask) == mask;
}

dnnl::memory::data_type type_of(Tensor t) {
  switch (t.dtype()) {
    case DType::f32:
      return dnnl::memory::data_type::f32;
    case DType::bf16:
      return dnnl::memory::data_type::bf16;
    default:
      throw Error("the CPU engine does not multiply " + std::string(to_string(t.dtype())));
  }
}

/// The pitch of a single row is of no matter, and of the dense kernels' choice.
std::int64_t pitch_of(Tensor t) {
  return t.dense() ? t.cols() : t.pitch();
}

}  // namespace

Bf16Products best_bf16_products() {
  return has(dnnl::cpu_isa::avx512_core_bf16) ? Bf16Products::native : Bf16Products::widened;
}

struct Gemm::Shape {
  std::int64_t m, n, k, pitch_a, pitch_b, pitch_c;
  Use use_a, use_b;
  DType in, out;
  bool accumulate;
  auto operator<=>(Shape const&) const = default;
};

struct Gemm::Library {
  struct Entry {
    dnnl::matmul primitive;
    dnnl::memory::desc a, b, c, scratch;
  };
  // Ragged batches bring new shapes for ever; a primitive takes well under a millisecond to make.
  static constexpr std::size_t kCapacity = 1024;

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Shape, Entry> entries;

  Entry const& entry(Shape const& shape, Tensor c, Operand const& a, Operand const& b);
};

Gemm::Library::Entry const& Gemm::Library::entry(Shape const& shape, Tensor c, Operand const& a,
                                                 Operand const& b) {
  if (auto it = entries.find(shape); it != entries.end()) return it->second;
  if (entries.size() >= kCapacity) entries.clear();
  using dnnl::memory;
  const auto describe = [](Operand const& o) {
    const std::int64_t pitch = pitch_of(o.matrix);
    return memory::desc({o.rows(), o.cols()}, type_of(o.matrix),
                        o.use == Use::plain ? memory::dims{pitch, 1} : memory::dims{1, pitch});
  };
  const memory::desc a_desc = describe(a);
  const memory::desc b_desc = describe(b);
  const memory::desc c_desc = describe({c, Use::plain});
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  if (shape.accumulate) {
    dnnl::post_ops post;
    post.append_sum(1.0f);
    attributes.set_post_ops(post);
  }
#if DNNL_VERSION_MAJOR >= 3
  const dnnl::matmul::primitive_desc made(engine, a_desc, b_desc, c_desc, attributes);
#else
  const dnnl::matmul::primitive_desc made(dnnl::matmul::desc(a_desc, b_desc, c_desc), attributes,
                                          engine);
#endif
  return entries
      .emplace(shape, Entry{dnnl::matmul(made), a_desc, b_desc, c_desc, made.scratchpad_desc()})
      .first->second;
}

Gemm::Gemm(int threads, Bf16Products bf16)
    : threads_(threads), bf16_(bf16), library_(std::make_unique<Library>()) {}

Gemm::~Gemm() = default;

void Gemm::product(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch) {
  const DType type = a.matrix.dtype();
  if (type == DType::f16 || (type == DType::bf16 && bf16_ == Bf16Products::widened)) {
    return by_tiles(c, a, b, accumulate, scratch);
  }
  if (!native(c, a, b, accumulate, scratch)) by_tiles(c, a, b, accumulate, scratch);
}

bool Gemm::native(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch) {
  omp_set_num_threads(threads_);  // what oneDNN goes by, when it makes and when it runs a primitive
  const Shape shape{a.rows(),           b.cols(),    a.cols(),  pitch_of(a.matrix),
                    pitch_of(b.matrix), pitch_of(c), a.use,     b.use,
                    a.matrix.dtype(),   c.dtype(),   accumulate};
  try {
    Library::Entry const& entry = library_->entry(shape, c, a, b);
    const std::size_t wanted = entry.scratch.get_size();
    if (wanted > workspace::library(shape.m, shape.n, shape.k, threads_)) return false;
    const Tensor work =
        scratch.take(lomo::Shape(static_cast<std::int64_t>((wanted + 3) / 4)), DType::f32);
    dnnl::engine& engine = library_->engine;
    entry.primitive.execute(
        library_->stream, {{DNNL_ARG_SRC, dnnl::memory(entry.a, engine, a.matrix.raw())},
                           {DNNL_ARG_WEIGHTS, dnnl::memory(entry.b, engine, b.matrix.raw())},
                           {DNNL_ARG_DST, dnnl::memory(entry.c, engine, c.raw())},
                           {DNNL_ARG_SCRATCHPAD, dnnl::memory(entry.scratch, engine, work.raw())}});
    library_->stream.wait();
    return true;
  } catch (dnnl::error const& error) {
    throw Error("matrix product " + c.shape().str() + " over " + std::to_string(a.cols()) +
                ": oneDNN says " + error.what());
  }
}

bool Gemm::extents_do_not_matter() {
  return dnnl_version()->major == 2 && has(dnnl::cpu_isa::avx512_core);
}

std::string Gemm::library() {
  dnnl_version_t const* v = dnnl_version();
  std::string isa = "other instructions";
  for (auto const& [name, bits] :
       {std::pair{"sse41", dnnl::cpu_isa::sse41}, std::pair{"avx2", dnnl::cpu_isa::avx2},
        std::pair{"avx512_core", dnnl::cpu_isa::avx512_core},
        std::pair{"avx512_core_bf16", dnnl::cpu_isa::avx512_core_bf16},
        std::pair{"avx512_core_amx", dnnl::cpu_isa::avx512_core_amx}}) {
    if (has(bits)) isa = name;
  }
  return "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." +
         std::to_string(v->patch) + " (" + isa + ")";
}

}  // namespace lomo::cpu

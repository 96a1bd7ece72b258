#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>

#include "scratch.h"

namespace lomo::cpu {

/// How products of bf16 matrices are computed.
enum class Bf16Products : std::uint8_t {
  native,   // by instructions that multiply bf16 (avx512_bf16)
  widened,  // tiles of the operands converted to f32 first
};

/// Native where the machine has the instructions: elsewhere oneDNN is slow at bf16 or refuses it.
Bf16Products best_bf16_products();

/// Matrix products; everything oneDNN does for the engine. Keeps one primitive a shape. Called from
/// the thread that drives the engine, never inside a parallel region.
class Gemm {
 public:
  Gemm(int threads, Bf16Products bf16);
  ~Gemm();

  enum class Use : std::uint8_t { plain, transposed };
  struct Operand {
    Tensor matrix;
    Use use = Use::plain;
    std::int64_t rows() const { return use == Use::plain ? matrix.rows() : matrix.cols(); }
    std::int64_t cols() const { return use == Use::plain ? matrix.cols() : matrix.rows(); }
  };
  /// c (M,N) = a (M,K) b (K,N), or adds to c. a and b are both f32, both bf16 or both f16, c is
  /// either f32 or of their type; sums are f32 and c is rounded once. f16 is always widened. No
  /// extent is 0. Any row pitch; dense operands are a few per cent faster. `scratch` holds what
  /// CpuWorkspaces counts for a product.
  void product(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch);

  /// Whether an element's bits are known not to depend on the extents of dense operands that do not
  /// enter its sum. It was measured of oneDNN 2's AVX-512 kernels; its older kernels cut a product
  /// by its extents.
  static bool extents_do_not_matter();
  /// "oneDNN 2.6.3 (avx512_core_bf16)".
  static std::string library();

 private:
  struct Shape;
  struct Library;
  /// False, and nothing done, when the library wants more scratch than workspace::library.
  bool native(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch);
  void by_tiles(Tensor c, Operand a, Operand b, bool accumulate, Scratch scratch);

  int threads_;
  Bf16Products bf16_;
  std::unique_ptr<Library> library_;
};

}  // namespace lomo::cpu

#pragma once
#include <cublasLt.h>

#include <compare>
#include <cstdint>
#include <map>
#include <string>

#include "handles.h"
#include "lomo/core/tensor.h"

namespace lomo::cuda {

/// Matrix products; everything cuBLASLt does for the engine. f32 is multiplied in f32, never in
/// TF32; 16-bit types on tensor cores; sums are f32 and rounded once. The algorithm for a shape is
/// asked for once and kept, so that a run repeats itself to the bit.
class Gemm {
 public:
  Gemm();
  ~Gemm();
  Gemm(Gemm const&) = delete;  // owns the library's handle
  Gemm& operator=(Gemm const&) = delete;
  /// "cuBLASLt 13.1.0".
  static std::string library();

  struct Operand {
    Tensor matrix;
    bool transposed = false;
    std::int64_t rows() const { return transposed ? matrix.cols() : matrix.rows(); }
    std::int64_t cols() const { return transposed ? matrix.rows() : matrix.cols(); }
  };
  /// Several products of matrices that lie equally far apart: elements from one to the next, 0
  /// where it is the same one.
  struct Batch {
    std::int64_t count, a, b, c;
  };
  /// How an element is summed: in whatever way is fastest, or in one sequence and by an algorithm
  /// that is chosen without looking at the number of rows of c or of products: for one of 1024
  /// rows, with no scheme allowed that would add up parts of a sum, and then checked for the rows
  /// there are. That one algorithm gives an element the same bits in any number of rows is how
  /// tiled products work and not documented: tests/engine holds it, on a GPU as well
  /// (scripts/gpu-check.sh).
  enum class Sums : std::uint8_t { fastest, same_for_any_rows };
  /// c (M,N) = a (M,K) b (K,N) [+ added (M,N) of c's type, which may be c]. a and b are of one
  /// storage type, c is of it or f32. No extent is 0. Any row pitch. `workspace` is
  /// workspace::cuda::kLibraryBytes at a 256-byte aligned address, for this call on this stream.
  /// With a batch, c, a and b are the first of each, and nothing is added.
  void product(Tensor c, Operand a, Operand b, Tensor added, void* workspace, cudaStream_t queue,
               Sums sums = Sums::fastest, Batch const& batch = {1, 0, 0, 0});

 private:
  /// A matrix as cuBLASLt sees it, by columns.
  struct Matrix {
    std::int64_t rows = 0, cols = 0, ld = 0;
    std::int64_t stride = 0;      // to the next of a batch
    std::uint32_t alignment = 0;  // of its columns, at most 16 bytes
    auto operator<=>(Matrix const&) const = default;
  };
  /// All that decides about an algorithm.
  struct Problem {
    Matrix a, b, c, d;
    DType in = DType::f32, out = DType::f32;
    bool a_transposed = false, b_transposed = false;
    Sums sums = Sums::fastest;
    std::int64_t batch = 1;
    auto operator<=>(Problem const&) const = default;
  };
  struct Descriptors;

  static Matrix by_columns(Tensor t, std::int64_t stride);
  /// One product like `problem`, with as many rows of c as stand for any number.
  static Problem for_any_rows(Problem problem);
  cublasLtMatmulAlgo_t const& algorithm(Problem const& problem, Descriptors const& descriptors);
  cublasLtMatmulAlgo_t best(Problem const& problem, Descriptors const& descriptors) const;

  cublasLtHandle_t handle_ = nullptr;
  std::map<Problem, cublasLtMatmulAlgo_t> algorithms_;
  bool warned_ = false;
};

}  // namespace lomo::cuda

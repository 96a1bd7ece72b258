#include "gemm.h"

#include <algorithm>
#include <bit>
#include <string>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/cuda/workspace.h"
#include "status.h"

namespace lomo::cuda {
namespace {

/// Rows of a weight gradient that its algorithm is chosen for, whatever the tile.
constexpr std::int64_t kAnyRows = 1024;
constexpr std::uint32_t kMaxAlignment = 16;

cudaDataType type_of(DType type) {
  if (type == DType::bf16) return CUDA_R_16BF;
  return type == DType::f16 ? CUDA_R_16F : CUDA_R_32F;
}

/// Bytes, a power of two, that the first column's address and the distances of columns and of
/// matrices are multiples of.
std::uint32_t alignment_of(Tensor t, std::int64_t stride) {
  const auto bits = reinterpret_cast<std::uintptr_t>(t.raw()) |
                    (static_cast<std::uintptr_t>(t.pitch()) * size_of(t.dtype())) |
                    (static_cast<std::uintptr_t>(stride) * size_of(t.dtype())) | kMaxAlignment;
  return std::uint32_t{1} << std::countr_zero(bits);
}

template <class Attribute, class T>
void set(cublasLtMatmulDesc_t desc, Attribute attribute, T value) {
  check(cublasLtMatmulDescSetAttribute(desc, attribute, &value, sizeof value),
        "cublasLtMatmulDescSetAttribute");
}
template <class T>
void set(cublasLtMatrixLayout_t layout, cublasLtMatrixLayoutAttribute_t attribute, T value) {
  check(cublasLtMatrixLayoutSetAttribute(layout, attribute, &value, sizeof value),
        "cublasLtMatrixLayoutSetAttribute");
}
template <class T>
void set(cublasLtMatmulPreference_t preference, cublasLtMatmulPreferenceAttributes_t attribute,
         T value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &value, sizeof value),
        "cublasLtMatmulPreferenceSetAttribute");
}

}  // namespace

/// The library's descriptions of a problem.
struct Gemm::Descriptors {
  explicit Descriptors(Problem const& p)
      : a(layout(p.a, p.in, p.batch)),
        b(layout(p.b, p.in, p.batch)),
        c(layout(p.c, p.out, p.batch)),
        d(layout(p.d, p.out, p.batch)) {
    cublasLtMatmulDesc_t made = nullptr;
    check(cublasLtMatmulDescCreate(&made, CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "cublasLtMatmulDescCreate");
    operation = Operation(made);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSA, p.a_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
    set(operation, CUBLASLT_MATMUL_DESC_TRANSB, p.b_transposed ? CUBLAS_OP_T : CUBLAS_OP_N);
  }

  using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
  using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
  static Layout layout(Matrix const& m, DType type, std::int64_t batch) {
    cublasLtMatrixLayout_t made = nullptr;
    check(cublasLtMatrixLayoutCreate(&made, type_of(type), static_cast<std::uint64_t>(m.rows),
                                     static_cast<std::uint64_t>(m.cols), m.ld),
          "cublasLtMatrixLayoutCreate");
    Layout layout(made);
    if (batch > 1) {
      set(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, static_cast<std::int32_t>(batch));
      set(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, m.stride);
    }
    return layout;
  }

  Operation operation;
  Layout a, b, c, d;
};

Gemm::Gemm() {
  check(cublasLtCreate(&handle_), "cublasLtCreate");
}

Gemm::~Gemm() {
  static_cast<void>(cublasLtDestroy(handle_));
}

std::string Gemm::library() {
  const std::size_t v = cublasLtGetVersion();
  return "cuBLASLt " + std::to_string(v / 10000) + "." + std::to_string(v % 10000 / 100) + "." +
         std::to_string(v % 100);
}

Gemm::Matrix Gemm::by_columns(Tensor t, std::int64_t stride) {
  return {t.cols(), t.rows(), t.pitch(), stride, alignment_of(t, stride)};
}

// By columns the rows of c = a b are the columns of c^T = b^T a^T: the operands change places and
// each row-major matrix is its own transpose.
void Gemm::product(Tensor c, Operand a, Operand b, Tensor added, void* workspace,
                   cudaStream_t queue, Sums sums, Batch const& batch) {
  const bool adds = added.shape().rank() == 2;
  Problem p{by_columns(b.matrix, batch.b), by_columns(a.matrix, batch.a),
            by_columns(adds ? added : c, batch.c), by_columns(c, batch.c)};
  p.in = a.matrix.dtype();
  p.out = c.dtype();
  p.a_transposed = b.transposed;
  p.b_transposed = a.transposed;
  p.sums = sums;
  p.batch = batch.count;
  const Descriptors descriptors(p);
  cublasLtMatmulAlgo_t const& algo = algorithm(p, descriptors);
  const float one = 1, beta = adds ? 1 : 0;
  check(cublasLtMatmul(handle_, descriptors.operation, &one, b.matrix.raw(), descriptors.a,
                       a.matrix.raw(), descriptors.b, &beta, adds ? added.raw() : c.raw(),
                       descriptors.c, c.raw(), descriptors.d, &algo, workspace,
                       workspace::cuda::kLibraryBytes, queue),
        "cublasLtMatmul");
}

Gemm::Problem Gemm::for_any_rows(Problem p) {
  const auto cut = [&](Matrix& m) {
    m.cols = kAnyRows;
    m.ld = m.rows;
    while (m.ld * static_cast<std::int64_t>(size_of(p.out)) % m.alignment != 0) m.ld += 1;
  };
  cut(p.c);
  cut(p.d);
  p.a.stride = p.b.stride = p.c.stride = p.d.stride = 0;
  p.batch = 1;
  (p.b_transposed ? p.b.rows : p.b.cols) = kAnyRows;
  p.b.ld = std::max(p.b.rows, kAnyRows);
  return p;
}

cublasLtMatmulAlgo_t const& Gemm::algorithm(Problem const& problem,
                                            Descriptors const& descriptors) {
  const auto known = algorithms_.find(problem);
  if (known != algorithms_.end()) return known->second;
  if (problem.sums == Sums::fastest) {
    return algorithms_.emplace(problem, best(problem, descriptors)).first->second;
  }
  const Problem any = for_any_rows(problem);
  auto common = algorithms_.find(any);
  if (common == algorithms_.end()) {
    common = algorithms_.emplace(any, best(any, Descriptors(any))).first;
  }
  if (any == problem) return common->second;
  cublasLtMatmulHeuristicResult_t result{};
  const cublasStatus_t status =
      cublasLtMatmulAlgoCheck(handle_, descriptors.operation, descriptors.a, descriptors.b,
                              descriptors.c, descriptors.d, &common->second, &result);
  if (status == CUBLAS_STATUS_SUCCESS && result.workspaceSize <= workspace::cuda::kLibraryBytes) {
    return algorithms_.emplace(problem, common->second).first->second;
  }
  if (!warned_) {
    log::warn(
        "cuBLASLt cannot use one algorithm for every tile of a weight gradient of {} columns: its "
        "last bits may depend on memory.tile_bytes",
        problem.d.rows);
  }
  warned_ = true;
  return algorithms_.emplace(problem, best(problem, descriptors)).first->second;
}

cublasLtMatmulAlgo_t Gemm::best(Problem const& p, Descriptors const& descriptors) const {
  cublasLtMatmulPreference_t made = nullptr;
  check(cublasLtMatmulPreferenceCreate(&made), "cublasLtMatmulPreferenceCreate");
  const Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy> preference(made);
  // Parts of a sum that were rounded to 16 bits would not be f32 sums.
  const std::uint32_t reduction = p.sums == Sums::fastest ? CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE
                                                          : CUBLASLT_REDUCTION_SCHEME_NONE;
  const std::uint64_t maximum = workspace::cuda::kLibraryBytes;
  set(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, maximum);
  set(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, reduction);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, p.a.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, p.b.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, p.c.alignment);
  set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, p.d.alignment);
  cublasLtMatmulHeuristicResult_t result{};
  int count = 0;
  const cublasStatus_t status =
      cublasLtMatmulAlgoGetHeuristic(handle_, descriptors.operation, descriptors.a, descriptors.b,
                                     descriptors.c, descriptors.d, preference, 1, &result, &count);
  if (status != CUBLAS_STATUS_SUCCESS || count == 0 || result.state != CUBLAS_STATUS_SUCCESS) {
    const std::int64_t depth = p.a_transposed ? p.a.rows : p.a.cols;
    throw Error("cuBLASLt has no algorithm for a product (" + std::to_string(p.d.cols) + ", " +
                std::to_string(p.d.rows) + ") over " + std::to_string(depth) + " of " +
                std::string(to_string(p.in)) + " into " + std::string(to_string(p.out)) + ": " +
                cublasLtGetStatusName(status));
  }
  return result.algo;
}

}  // namespace lomo::cuda

// cublasLtMatmul against a loop, over types, orders, transposes, batches, alpha and beta. All
// values are small integers, so that sums are exact and every comparison is for equality.
#include <cublasLt.h>

#include <random>

#include "kernel_test.h"

using namespace cuda_host;
using namespace cuda_host::test;
using bf16 = __nv_bfloat16;

namespace {

float as_float(float x) {
  return x;
}
float as_float(bf16 x) {
  return __bfloat162float(x);
}
float as_float(__half x) {
  return __half2float(x);
}
template <class T>
T as(float x) {
  if constexpr (std::is_same_v<T, bf16>) return __float2bfloat16_rn(x);
  if constexpr (std::is_same_v<T, __half>) return __float2half_rn(x);
  if constexpr (std::is_same_v<T, float>) return x;
}
template <class T>
constexpr cudaDataType kType = std::is_same_v<T, bf16>     ? CUDA_R_16BF
                               : std::is_same_v<T, __half> ? CUDA_R_16F
                                                           : CUDA_R_32F;

/// A matrix of a batch of two with some room between rows and matrices.
template <class T>
struct Matrix {
  Matrix(int r, int c, bool by_rows, std::mt19937& random) : rows(r), cols(c), row_major(by_rows) {
    ld = (row_major ? cols : rows) + 3;
    stride = static_cast<std::int64_t>(ld) * (row_major ? rows : cols) + 5;
    std::uniform_int_distribution<int> values(-3, 3);
    for (int i = 0; i < 2 * stride; ++i) host.push_back(as<T>(static_cast<float>(values(random))));
    device = to_device(host);
    REQUIRE(cublasLtMatrixLayoutCreate(&layout, kType<T>, static_cast<std::uint64_t>(rows),
                                       static_cast<std::uint64_t>(cols),
                                       ld) == CUBLAS_STATUS_SUCCESS);
    const cublasLtOrder_t order = row_major ? CUBLASLT_ORDER_ROW : CUBLASLT_ORDER_COL;
    const std::int32_t batch = 2;
    set(CUBLASLT_MATRIX_LAYOUT_ORDER, &order, sizeof order);
    set(CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch);
    set(CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride);
  }
  ~Matrix() { cublasLtMatrixLayoutDestroy(layout); }
  Matrix(Matrix const&) = delete;
  Matrix& operator=(Matrix const&) = delete;
  void set(cublasLtMatrixLayoutAttribute_t what, void const* value, std::size_t bytes) {
    REQUIRE(cublasLtMatrixLayoutSetAttribute(layout, what, value, bytes) == CUBLAS_STATUS_SUCCESS);
  }
  std::size_t at(int batch, int i, int j) const {
    return static_cast<std::size_t>(batch * stride + (row_major ? i * ld + j : j * ld + i));
  }

  int rows, cols;
  bool row_major;
  int ld;
  std::int64_t stride;
  std::vector<T> host;
  T* device = nullptr;
  cublasLtMatrixLayout_t layout = nullptr;
};

struct Lt {
  Lt() {
    REQUIRE(cublasLtCreate(&handle) == CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulDescCreate(&operation, CUBLAS_COMPUTE_32F, CUDA_R_32F) ==
            CUBLAS_STATUS_SUCCESS);
    REQUIRE(cublasLtMatmulPreferenceCreate(&preference) == CUBLAS_STATUS_SUCCESS);
    const std::uint64_t maximum = std::uint64_t{4} << 20;
    REQUIRE(cublasLtMatmulPreferenceSetAttribute(preference,
                                                 CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &maximum,
                                                 sizeof maximum) == CUBLAS_STATUS_SUCCESS);
  }
  ~Lt() {
    cublasLtMatmulPreferenceDestroy(preference);
    cublasLtMatmulDescDestroy(operation);
    cublasLtDestroy(handle);
  }
  Lt(Lt const&) = delete;
  Lt& operator=(Lt const&) = delete;
  void transpose(cublasLtMatmulDescAttributes_t which, bool yes) {
    const cublasOperation_t op = yes ? CUBLAS_OP_T : CUBLAS_OP_N;
    REQUIRE(cublasLtMatmulDescSetAttribute(operation, which, &op, sizeof op) ==
            CUBLAS_STATUS_SUCCESS);
  }

  cublasLtHandle_t handle = nullptr;
  cublasLtMatmulDesc_t operation = nullptr;
  cublasLtMatmulPreference_t preference = nullptr;
};

template <class T, class D>
void check(bool a_transposed, bool b_transposed, bool by_rows, float alpha, float beta,
           std::uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK) {
  reset();
  std::mt19937 random(7);
  constexpr int kM = 5, kN = 7, kK = 9;
  Lt lt;
  const Matrix<T> a(a_transposed ? kK : kM, a_transposed ? kM : kK, by_rows, random);
  const Matrix<T> b(b_transposed ? kN : kK, b_transposed ? kK : kN, by_rows, random);
  const Matrix<D> d(kM, kN, by_rows, random);
  lt.transpose(CUBLASLT_MATMUL_DESC_TRANSA, a_transposed);
  lt.transpose(CUBLASLT_MATMUL_DESC_TRANSB, b_transposed);
  REQUIRE(cublasLtMatmulPreferenceSetAttribute(
              lt.preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions,
              sizeof reductions) == CUBLAS_STATUS_SUCCESS);
  cublasLtMatmulHeuristicResult_t found[4];
  int count = 0;
  REQUIRE(cublasLtMatmulAlgoGetHeuristic(lt.handle, lt.operation, a.layout, b.layout, d.layout,
                                         d.layout, lt.preference, 4, found,
                                         &count) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(count >= 1);
  void* workspace = nullptr;
  REQUIRE(cudaMalloc(&workspace, found[0].workspaceSize) == cudaSuccess);
  REQUIRE(cublasLtMatmul(lt.handle, lt.operation, &alpha, a.device, a.layout, b.device, b.layout,
                         &beta, d.device, d.layout, d.device, d.layout, &found[0].algo, workspace,
                         found[0].workspaceSize, nullptr) == CUBLAS_STATUS_SUCCESS);
  const std::vector<D> got = to_host(d.device, d.host.size());
  std::vector<D> want = d.host;  // what lies between rows and matrices must keep
  for (int batch = 0; batch < 2; ++batch) {
    for (int i = 0; i < kM; ++i) {
      for (int j = 0; j < kN; ++j) {
        float sum = 0.0f;
        for (int k = 0; k < kK; ++k) {
          sum += as_float(a.host[a_transposed ? a.at(batch, k, i) : a.at(batch, i, k)]) *
                 as_float(b.host[b_transposed ? b.at(batch, j, k) : b.at(batch, k, j)]);
        }
        D& x = want[d.at(batch, i, j)];
        x = as<D>(alpha * sum + beta * as_float(x));
      }
    }
  }
  for (std::size_t i = 0; i < got.size(); ++i) {
    if (!(as_float(got[i]) == as_float(want[i]))) FAIL("element " << i);
  }
}

}  // namespace

TEST_CASE("cublasLtMatmul agrees with a loop") {
  for (int bits = 0; bits < 8; ++bits) {
    for (float beta : {0.0f, 1.0f}) {
      const bool ta = bits & 1, tb = bits & 2, rows = bits & 4;
      check<bf16, bf16>(ta, tb, rows, 1.0f, beta);
      check<bf16, float>(ta, tb, rows, 2.0f, beta);
      check<__half, __half>(ta, tb, rows, 1.0f, beta);
      check<__half, float>(ta, tb, rows, 0.5f, beta);
      check<float, float>(ta, tb, rows, -1.0f, beta);
      check<bf16, float>(ta, tb, rows, 1.0f, beta, CUBLASLT_REDUCTION_SCHEME_NONE);
    }
  }
}

TEST_CASE("cublasLtMatmul refuses what hardware would not do") {
  reset();
  std::mt19937 random(7);
  Lt lt;
  const Matrix<bf16> a(4, 6, true, random), b(6, 5, true, random), wrong(7, 5, true, random);
  const Matrix<bf16> d(4, 5, true, random);
  cublasLtMatmulHeuristicResult_t found[2];
  int count = 0;
  const auto ask = [&](Matrix<bf16> const& right) {
    return cublasLtMatmulAlgoGetHeuristic(lt.handle, lt.operation, a.layout, right.layout, d.layout,
                                          d.layout, lt.preference, 2, found, &count);
  };
  CHECK(ask(wrong) == CUBLAS_STATUS_NOT_SUPPORTED);
  REQUIRE(ask(b) == CUBLAS_STATUS_SUCCESS);
  REQUIRE(count == 2);
  REQUIRE(found[0].workspaceSize > 0);
  REQUIRE(found[1].workspaceSize == 0);
  const float one = 1.0f, zero = 0.0f;
  const auto multiply = [&](bf16* left, Matrix<bf16> const& out, int algorithm, void* workspace,
                            std::size_t bytes) {
    return cublasLtMatmul(lt.handle, lt.operation, &one, left, a.layout, b.device, b.layout, &zero,
                          out.device, out.layout, out.device, out.layout, &found[algorithm].algo,
                          workspace, bytes, nullptr);
  };
  CHECK(multiply(a.device, d, 1, nullptr, 0) == CUBLAS_STATUS_SUCCESS);
  CHECK(multiply(a.device, d, 0, nullptr, 0) == CUBLAS_STATUS_INVALID_VALUE);
  void* small = nullptr;
  REQUIRE(cudaMalloc(&small, 1024) == cudaSuccess);
  CHECK(multiply(a.device, d, 0, small, found[0].workspaceSize) == CUBLAS_STATUS_INVALID_VALUE);
  CHECK(multiply(a.device + 1, d, 1, nullptr, 0) == CUBLAS_STATUS_INVALID_VALUE);  // alignment
  const Matrix<bf16> columns(4, 5, false, random);
  CHECK(multiply(a.device, columns, 1, nullptr, 0) == CUBLAS_STATUS_NOT_SUPPORTED);
  std::vector<bf16> host(64);
  CHECK(multiply(host.data(), d, 1, nullptr, 0) == CUBLAS_STATUS_INVALID_VALUE);
}

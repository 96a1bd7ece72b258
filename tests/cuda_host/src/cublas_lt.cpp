// cublasLtMatmul: D = alpha op(A) op(B) + beta C with products by OpenBLAS in fp32.
//
// The heuristic offers an algorithm that uses workspace, where the preference has room for it, and
// one that uses none. An algorithm belongs to the types, orders and transposes of the problem and
// to the alignments it was offered for; extents may be others. Where no reduction scheme is allowed
// each element is summed in one sequence, and its bits depend on its row, its column and the
// algorithm, which adds up more or fewer terms at a time: the heuristic takes more for larger
// results, as it chooses larger tiles on hardware. The one
// with workspace overwrites it, so that nothing else can have been kept there.
#include "cublas_lt.h"

#include <cblas.h>
#include <cuda_bf16.h>
#include <cuda_fp16.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include "device_state.h"
#include "memory.h"
#include "streams.h"

namespace cuda_host {
namespace {

constexpr std::uint64_t kWorkspace = std::uint64_t{1} << 20;
constexpr std::uint64_t kMark = 0x6c742d686f737431;  // in every algorithm that was offered

struct Problem {
  Operation operation;
  Layout a, b, c, d;
};

struct Algorithm {
  std::uint64_t mark;
  std::uint64_t problem;
  std::uint64_t workspace;
  std::uint32_t terms;         // that are added up at a time, in sequence; 0: by OpenBLAS
  std::uint32_t alignment[4];  // of A, B, C, D
  std::uint32_t pitches[4];    // alignment of their columns' distance, at most 16 bytes
};
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

std::size_t bytes_of(cudaDataType type) {
  return type == CUDA_R_32F ? 4 : 2;
}

std::int64_t rows_of(Layout const& x, cublasOperation_t op) {
  return static_cast<std::int64_t>(op == CUBLAS_OP_N ? x.rows : x.cols);
}
std::int64_t cols_of(Layout const& x, cublasOperation_t op) {
  return static_cast<std::int64_t>(op == CUBLAS_OP_N ? x.cols : x.rows);
}

std::array<std::uint32_t, 4> pitches_of(Problem const& p) {
  std::array<std::uint32_t, 4> alignments{};
  std::size_t i = 0;
  for (Layout const* x : {&p.a, &p.b, &p.c, &p.d}) {
    const auto bytes = static_cast<std::uint64_t>(x->ld) * bytes_of(x->type);
    alignments[i++] = std::uint32_t{1} << std::min(4, std::countr_zero(bytes | 16));
  }
  return alignments;
}

void mix(std::uint64_t& hash, std::uint64_t x) {
  hash = (hash ^ x) * 0x9e3779b97f4a7c15u;
  hash ^= hash >> 29;
}

std::uint64_t hash_of(Problem const& p) {
  std::uint64_t hash = kMark;
  for (Layout const* x : {&p.a, &p.b, &p.c, &p.d}) {
    mix(hash, std::uint64_t(x->type));
    mix(hash, std::uint64_t(x->order));
  }
  mix(hash, p.operation.a);
  mix(hash, p.operation.b);
  return hash;
}

bool valid(Layout const& x) {
  if (x.order != CUBLASLT_ORDER_COL && x.order != CUBLASLT_ORDER_ROW) return false;
  const std::uint64_t minimum = x.order == CUBLASLT_ORDER_COL ? x.rows : x.cols;
  return x.batch >= 1 && x.ld >= static_cast<std::int64_t>(minimum);
}

/// Null if the emulation has it, else why not.
char const* complaint(Problem const& p) {
  Operation const& o = p.operation;
  if (o.compute != CUBLAS_COMPUTE_32F && o.compute != CUBLAS_COMPUTE_32F_PEDANTIC) {
    return "matmul: compute type is not fp32";
  }
  if (o.scale != CUDA_R_32F) return "matmul: alpha and beta are not fp32";
  if (o.epilogue != CUBLASLT_EPILOGUE_DEFAULT || o.c != CUBLAS_OP_N) {
    return "matmul: epilogues and a transposed C are not emulated";
  }
  if (p.a.type != p.b.type || p.c.type != p.d.type) return "matmul: types of A, B or C, D differ";
  if (p.a.type != CUDA_R_16BF && p.a.type != CUDA_R_16F && p.a.type != CUDA_R_32F) {
    return "matmul: A is not bf16, fp16 or fp32";
  }
  if (p.d.type != p.a.type && p.d.type != CUDA_R_32F)
    return "matmul: D has neither A's type nor fp32";
  for (Layout const* x : {&p.a, &p.b, &p.c, &p.d}) {
    if (!valid(*x)) return "matmul: a layout has another order, no batch or rows that overlap";
    if (x->batch != p.d.batch) return "matmul: batches differ";
  }
  if (rows_of(p.a, o.a) != rows_of(p.d, CUBLAS_OP_N) ||
      cols_of(p.b, o.b) != cols_of(p.d, CUBLAS_OP_N) || cols_of(p.a, o.a) != rows_of(p.b, o.b) ||
      p.c.rows != p.d.rows || p.c.cols != p.d.cols) {
    return "matmul: shapes do not go together";
  }
  return nullptr;
}

float load(void const* data, cudaDataType type, std::int64_t i) {
  if (type == CUDA_R_32F) return static_cast<float const*>(data)[i];
  if (type == CUDA_R_16F) return __half2float(static_cast<__half const*>(data)[i]);
  return __bfloat162float(static_cast<__nv_bfloat16 const*>(data)[i]);
}

void store(void* data, cudaDataType type, std::int64_t i, float x) {
  if (type == CUDA_R_32F) {
    static_cast<float*>(data)[i] = x;
  } else if (type == CUDA_R_16F) {
    static_cast<__half*>(data)[i] = __float2half_rn(x);
  } else {
    static_cast<__nv_bfloat16*>(data)[i] = __float2bfloat16_rn(x);
  }
}

/// op(x) of one matrix of the batch, dense and by rows.
std::vector<float> dense(void const* data, Layout const& x, cublasOperation_t op, int batch) {
  const std::int64_t rows = rows_of(x, op), cols = cols_of(x, op);
  std::vector<float> y(static_cast<std::size_t>(rows * cols));
  for (std::int64_t i = 0; i < rows; ++i) {
    for (std::int64_t j = 0; j < cols; ++j) {
      const std::int64_t at = op == CUBLAS_OP_N ? x.at(i, j) : x.at(j, i);
      y[static_cast<std::size_t>(i * cols + j)] = load(data, x.type, batch * x.stride + at);
    }
  }
  return y;
}

/// sums (m,n) = left (m,k) right (k,n), element by element from the first term to the last: so many
/// terms are added up, and then added to the sum.
void multiply_in_sequence(float* sums, float const* left, float const* right, int m, int n, int k,
                          std::int64_t terms) {
  std::vector<float> part(static_cast<std::size_t>(n));
  for (std::int64_t i = 0; i < m; ++i) {
    for (std::int64_t first = 0; first < k; first += terms) {
      std::fill(part.begin(), part.end(), 0.0f);
      for (std::int64_t l = first, end = std::min<std::int64_t>(k, first + terms); l < end; ++l) {
        const float x = left[i * k + l];
        for (std::int64_t j = 0; j < n; ++j)
          part[static_cast<std::size_t>(j)] += x * right[l * n + j];
      }
      for (std::int64_t j = 0; j < n; ++j) sums[i * n + j] += part[static_cast<std::size_t>(j)];
    }
  }
}

/// As a heuristic chooses tiles: by the result, whatever is asked of the sums.
std::uint32_t terms_for(Layout const& d) {
  const std::uint64_t minimum = std::min(d.rows, d.cols);
  return minimum >= 128 ? 64 : minimum >= 32 ? 32 : 16;
}

struct Call {
  Problem problem;
  void const *a, *b, *c;
  void* d;
  float alpha, beta;
  void const *device_alpha, *device_beta;  // read when the stream gets here, if not null
  void* workspace;
  std::uint64_t workspace_bytes;
  std::uint32_t terms;

  std::string run() const {
    Problem const& p = problem;
    if (workspace_bytes > 0) std::memset(workspace, 0xff, workspace_bytes);
    const float scale = device_alpha ? *static_cast<float const*>(device_alpha) : alpha;
    const float kept = device_beta ? *static_cast<float const*>(device_beta) : beta;
    const auto m = static_cast<int>(p.d.rows), n = static_cast<int>(p.d.cols);
    const auto k = static_cast<int>(cols_of(p.a, p.operation.a));
    openblas_set_num_threads(1);
    std::vector<float> sums(static_cast<std::size_t>(m) * n);
    for (int batch = 0; batch < p.d.batch; ++batch) {
      const std::vector<float> left = dense(a, p.a, p.operation.a, batch);
      const std::vector<float> right = dense(b, p.b, p.operation.b, batch);
      std::fill(sums.begin(), sums.end(), 0.0f);
      if (terms > 0) {
        multiply_in_sequence(sums.data(), left.data(), right.data(), m, n, k, terms);
      } else if (k > 0) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.0f, left.data(), k,
                    right.data(), n, 0.0f, sums.data(), n);
      }
      for (int i = 0; i < m; ++i) {
        for (int j = 0; j < n; ++j) {
          float x = scale * sums[static_cast<std::size_t>(i) * n + j];
          if (kept != 0.0f) {  // with beta 0 C is not read
            x += kept * load(c, p.c.type, batch * p.c.stride + p.c.at(i, j));
          }
          store(d, p.d.type, batch * p.d.stride + p.d.at(i, j), x);
        }
      }
    }
    return {};
  }
};

bool has_alignment(void const* p, std::uint32_t alignment) {
  return reinterpret_cast<std::uintptr_t>(p) % alignment == 0;
}

bool is_matrix(void const* p, Layout const& x) {
  const auto bytes = static_cast<std::size_t>(x.extent()) * bytes_of(x.type);
  return has_alignment(p, static_cast<std::uint32_t>(bytes_of(x.type))) &&
         (bytes == 0 || is_device_memory(p, bytes));
}

cublasStatus_t refuse(cublasStatus_t status, char const* why) {
  note_refusal(why);
  return status;
}

Problem problem_of(cublasLtMatmulDesc_t operation, cublasLtMatrixLayout_t a,
                   cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d) {
  return {operation_of(operation), layout_of(a), layout_of(b), layout_of(c), layout_of(d)};
}

}  // namespace
}  // namespace cuda_host

struct cublasLtContext {};

using namespace cuda_host;

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
  if (sticky() != cudaSuccess) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = new cublasLtContext;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

std::size_t cublasLtGetVersion() {
  return CUBLAS_VERSION;
}

char const* cublasLtGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    default:
      return "CUBLAS_STATUS of another kind";
  }
}

char const* cublasLtGetStatusString(cublasStatus_t status) {
  return cublasLtGetStatusName(status);
}

cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle,
                                              cublasLtMatmulDesc_t operation,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t preference, int maximum,
                                              cublasLtMatmulHeuristicResult_t results[],
                                              int* count) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (maximum < 1 || count == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  *count = 0;
  const Problem problem = problem_of(operation, a, b, c, d);
  if (char const* why = complaint(problem)) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why);
  Preference const& wish = preference_of(preference);
  for (std::uint64_t workspace : {kWorkspace, std::uint64_t{0}}) {
    if (workspace > wish.workspace || *count == maximum) continue;
    const bool splits = wish.reductions != CUBLASLT_REDUCTION_SCHEME_NONE;
    Algorithm algorithm{kMark, hash_of(problem), workspace, splits ? 0 : terms_for(problem.d), {},
                        {}};
    std::copy_n(wish.alignment, 4, algorithm.alignment);
    std::copy_n(pitches_of(problem).begin(), 4, algorithm.pitches);
    cublasLtMatmulHeuristicResult_t& result = results[(*count)++];
    result = cublasLtMatmulHeuristicResult_t{};
    std::memcpy(&result.algo, &algorithm, sizeof algorithm);
    result.workspaceSize = workspace;
    result.state = CUBLAS_STATUS_SUCCESS;
    result.wavesCount = 1.0f;
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       cublasLtMatmulAlgo_t const* algo,
                                       cublasLtMatmulHeuristicResult_t* result) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (algo == nullptr || result == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  Algorithm algorithm;
  std::memcpy(&algorithm, algo, sizeof algorithm);
  const Problem problem = problem_of(operation, a, b, c, d);
  if (char const* why = complaint(problem)) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why);
  if (algorithm.mark != kMark || algorithm.problem != hash_of(problem)) {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matmul: an algorithm of another problem");
  }
  const std::array<std::uint32_t, 4> pitches = pitches_of(problem);
  for (std::size_t i = 0; i < 4; ++i) {
    if (pitches[i] < algorithm.pitches[i]) {
      return refuse(CUBLAS_STATUS_NOT_SUPPORTED,
                    "matmul: columns less aligned than where the algorithm was offered");
    }
  }
  result->workspaceSize = algorithm.workspace;
  result->state = CUBLAS_STATUS_SUCCESS;
  result->wavesCount = 1.0f;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t operation,
                              void const* alpha, void const* a, cublasLtMatrixLayout_t a_layout,
                              void const* b, cublasLtMatrixLayout_t b_layout, void const* beta,
                              void const* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, cublasLtMatmulAlgo_t const* algo,
                              void* workspace, std::size_t workspace_bytes, cudaStream_t queue) {
  if (handle == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (sticky() != cudaSuccess) return CUBLAS_STATUS_EXECUTION_FAILED;
  Stream* const stream = streams().find(queue);
  if (stream == nullptr || alpha == nullptr || beta == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  const Problem problem = problem_of(operation, a_layout, b_layout, c_layout, d_layout);
  if (char const* why = complaint(problem)) return refuse(CUBLAS_STATUS_NOT_SUPPORTED, why);
  Call call{problem, a, b, c, d, 0.0f, 0.0f, nullptr, nullptr, workspace, 0, 0};
  if (algo != nullptr) {
    cublasLtMatmulHeuristicResult_t result;
    const cublasStatus_t status = cublasLtMatmulAlgoCheck(handle, operation, a_layout, b_layout,
                                                          c_layout, d_layout, algo, &result);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    Algorithm algorithm;
    std::memcpy(&algorithm, algo, sizeof algorithm);
    void const* const operands[] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) {
      if (!has_alignment(operands[i], algorithm.alignment[i])) {
        return refuse(CUBLAS_STATUS_INVALID_VALUE, "matmul: less aligned than the preference said");
      }
    }
    call.workspace_bytes = algorithm.workspace;
    call.terms = algorithm.terms;
  }
  if (call.workspace_bytes > workspace_bytes ||
      (call.workspace_bytes > 0 &&
       (!has_alignment(workspace, 256) || !is_device_memory(workspace, call.workspace_bytes)))) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE,
                  "matmul: workspace too small, misaligned or not there");
  }
  bool reads_c = true;
  if (problem.operation.pointers == CUBLASLT_POINTER_MODE_HOST) {
    std::memcpy(&call.alpha, alpha, sizeof call.alpha);
    std::memcpy(&call.beta, beta, sizeof call.beta);
    reads_c = call.beta != 0.0f;
  } else if (problem.operation.pointers == CUBLASLT_POINTER_MODE_DEVICE) {
    call.device_alpha = alpha;
    call.device_beta = beta;
  } else {
    return refuse(CUBLAS_STATUS_NOT_SUPPORTED, "matmul: pointer mode is neither host nor device");
  }
  if (!is_matrix(a, problem.a) || !is_matrix(b, problem.b) || !is_matrix(d, problem.d) ||
      (reads_c && !is_matrix(c, problem.c))) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "matmul: a matrix does not lie in device memory");
  }
  if (reads_c && c == d && (problem.c.ld != problem.d.ld || problem.c.order != problem.d.order)) {
    return refuse(CUBLAS_STATUS_INVALID_VALUE, "matmul: C and D share memory but not their layout");
  }
  Work work;
  work.what = Ran::What::product;
  work.run = [call] { return call.run(); };
  streams().enqueue(*stream, std::move(work));
  return CUBLAS_STATUS_SUCCESS;
}

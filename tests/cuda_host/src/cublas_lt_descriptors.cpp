// Descriptors of cuBLASLt: made, read and changed by attribute. An attribute that the emulation
// does not have is refused, never ignored.
#include <cstring>

#include "cublas_lt.h"

namespace cuda_host {
namespace {

/// A value of a descriptor as an attribute.
struct Field {
  void* value = nullptr;
  std::size_t bytes = 0;
};

template <class T>
Field field(T& value) {
  return {&value, sizeof value};
}

Field find(Layout& x, cublasLtMatrixLayoutAttribute_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_TYPE:
      return field(x.type);
    case CUBLASLT_MATRIX_LAYOUT_ORDER:
      return field(x.order);
    case CUBLASLT_MATRIX_LAYOUT_ROWS:
      return field(x.rows);
    case CUBLASLT_MATRIX_LAYOUT_COLS:
      return field(x.cols);
    case CUBLASLT_MATRIX_LAYOUT_LD:
      return field(x.ld);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT:
      return field(x.batch);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET:
      return field(x.stride);
    default:
      return {};
  }
}

Field find(Operation& x, cublasLtMatmulDescAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATMUL_DESC_COMPUTE_TYPE:
      return field(x.compute);
    case CUBLASLT_MATMUL_DESC_SCALE_TYPE:
      return field(x.scale);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE:
      return field(x.pointers);
    case CUBLASLT_MATMUL_DESC_TRANSA:
      return field(x.a);
    case CUBLASLT_MATMUL_DESC_TRANSB:
      return field(x.b);
    case CUBLASLT_MATMUL_DESC_TRANSC:
      return field(x.c);
    case CUBLASLT_MATMUL_DESC_EPILOGUE:
      return field(x.epilogue);
    default:
      return {};
  }
}

Field find(Preference& x, cublasLtMatmulPreferenceAttributes_t attribute) {
  switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES:
      return field(x.workspace);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK:
      return field(x.reductions);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES:
      return field(x.alignment[0]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES:
      return field(x.alignment[1]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES:
      return field(x.alignment[2]);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES:
      return field(x.alignment[3]);
    default:
      return {};
  }
}

cublasStatus_t set(Field to, void const* from, std::size_t bytes) {
  if (to.value == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (from == nullptr || bytes != to.bytes) return CUBLAS_STATUS_INVALID_VALUE;
  std::memcpy(to.value, from, bytes);
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t get(Field from, void* to, std::size_t bytes, std::size_t* written) {
  if (from.value == nullptr) return CUBLAS_STATUS_NOT_SUPPORTED;
  if (bytes != 0 && (to == nullptr || bytes != from.bytes)) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes == 0 && written == nullptr) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes != 0) std::memcpy(to, from.value, bytes);
  if (written != nullptr) *written = from.bytes;
  return CUBLAS_STATUS_SUCCESS;
}

template <class Mine, class Opaque>
Mine& inside(Opaque* opaque) {
  static_assert(sizeof(Mine) <= sizeof(Opaque) && alignof(Mine) <= alignof(Opaque));
  return *reinterpret_cast<Mine*>(opaque);
}

}  // namespace

std::int64_t Layout::extent() const {
  if (rows == 0 || cols == 0 || batch == 0) return 0;
  const auto last_row = static_cast<std::int64_t>(rows) - 1;
  const auto last_col = static_cast<std::int64_t>(cols) - 1;
  return (batch - 1) * stride + at(last_row, last_col) + 1;
}

Layout& layout_of(cublasLtMatrixLayout_t handle) {
  return inside<Layout>(handle);
}
Operation& operation_of(cublasLtMatmulDesc_t handle) {
  return inside<Operation>(handle);
}
Preference& preference_of(cublasLtMatmulPreference_t handle) {
  return inside<Preference>(handle);
}

}  // namespace cuda_host

using namespace cuda_host;

cublasStatus_t cublasLtMatrixLayoutInit_internal(cublasLtMatrixLayout_t handle, std::size_t size,
                                                 cudaDataType type, std::uint64_t rows,
                                                 std::uint64_t cols, std::int64_t ld) {
  if (size < sizeof(Layout)) return CUBLAS_STATUS_ALLOC_FAILED;
  layout_of(handle) = Layout{type, CUBLASLT_ORDER_COL, rows, cols, ld, 1, 0};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type,
                                          std::uint64_t rows, std::uint64_t cols, std::int64_t ld) {
  *handle = new cublasLtMatrixLayoutOpaque_t{};
  return cublasLtMatrixLayoutInit_internal(*handle, sizeof **handle, type, rows, cols, ld);
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                void const* value, std::size_t bytes) {
  return set(find(layout_of(handle), attribute), value, bytes);
}

cublasStatus_t cublasLtMatrixLayoutGetAttribute(cublasLtMatrixLayout_t handle,
                                                cublasLtMatrixLayoutAttribute_t attribute,
                                                void* value, std::size_t bytes,
                                                std::size_t* written) {
  return get(find(layout_of(handle), attribute), value, bytes, written);
}

cublasStatus_t cublasLtMatmulDescInit_internal(cublasLtMatmulDesc_t handle, std::size_t size,
                                               cublasComputeType_t compute, cudaDataType_t scale) {
  if (size < sizeof(Operation)) return CUBLAS_STATUS_ALLOC_FAILED;
  operation_of(handle) =
      Operation{compute,     scale,       CUBLASLT_POINTER_MODE_HOST, CUBLAS_OP_N,
                CUBLAS_OP_N, CUBLAS_OP_N, CUBLASLT_EPILOGUE_DEFAULT};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* handle, cublasComputeType_t compute,
                                        cudaDataType_t scale) {
  *handle = new cublasLtMatmulDescOpaque_t{};
  return cublasLtMatmulDescInit_internal(*handle, sizeof **handle, compute, scale);
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute,
                                              void const* value, std::size_t bytes) {
  return set(find(operation_of(handle), attribute), value, bytes);
}

cublasStatus_t cublasLtMatmulDescGetAttribute(cublasLtMatmulDesc_t handle,
                                              cublasLtMatmulDescAttributes_t attribute, void* value,
                                              std::size_t bytes, std::size_t* written) {
  return get(find(operation_of(handle), attribute), value, bytes, written);
}

cublasStatus_t cublasLtMatmulPreferenceInit_internal(cublasLtMatmulPreference_t handle,
                                                     std::size_t size) {
  if (size < sizeof(Preference)) return CUBLAS_STATUS_ALLOC_FAILED;
  preference_of(handle) = Preference{0, {256, 256, 256, 256}, CUBLASLT_REDUCTION_SCHEME_MASK};
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) {
  *handle = new cublasLtMatmulPreferenceOpaque_t{};
  return cublasLtMatmulPreferenceInit_internal(*handle, sizeof **handle);
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    void const* value, std::size_t bytes) {
  return set(find(preference_of(handle), attribute), value, bytes);
}

cublasStatus_t cublasLtMatmulPreferenceGetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute,
                                                    void* value, std::size_t bytes,
                                                    std::size_t* written) {
  return get(find(preference_of(handle), attribute), value, bytes, written);
}

#pragma once
#include <cublasLt.h>

#include <cstdint>

namespace cuda_host {

/// What is kept in the toolkit's opaque structs.
struct Layout {
  cudaDataType type;
  cublasLtOrder_t order;
  std::uint64_t rows, cols;
  std::int64_t ld;
  std::int32_t batch;
  std::int64_t stride;  // elements from one matrix of the batch to the next

  /// Elements from the first to just beyond the last, over the whole batch.
  std::int64_t extent() const;
  std::int64_t at(std::int64_t row, std::int64_t col) const {
    return order == CUBLASLT_ORDER_COL ? col * ld + row : row * ld + col;
  }
};

struct Operation {
  cublasComputeType_t compute;
  cudaDataType scale;
  cublasLtPointerMode_t pointers;
  cublasOperation_t a, b, c;
  cublasLtEpilogue_t epilogue;
};

struct Preference {
  std::uint64_t workspace;
  std::uint32_t alignment[4];  // of A, B, C, D
  std::uint32_t reductions;    // allowed schemes, a mask
};

/// The descriptor behind a handle of the toolkit's.
Layout& layout_of(cublasLtMatrixLayout_t handle);
Operation& operation_of(cublasLtMatmulDesc_t handle);
Preference& preference_of(cublasLtMatmulPreference_t handle);

}  // namespace cuda_host

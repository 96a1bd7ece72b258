#pragma once
// Fills a Kernels with this file's instruction set. Included by the kernel files only.
#include "attention_kernels.h"
#include "row_kernels.h"

namespace lomo::cpu {
namespace {

template <class T>
constexpr TypedKernels<T> typed_kernels() {
  return {
      .rmsnorm = rmsnorm_row<T>,
      .rmsnorm_backward = rmsnorm_backward_row<T>,
      .rotate = rotate_row<T>,
      .swiglu = swiglu_row<T>,
      .swiglu_backward = swiglu_backward_row<T>,
      .cross_entropy_backward = cross_entropy_backward_row<T>,
      .dot = dot_row<T>,
      .attention = attention_chunk<T>,
      .attention_backward_queries = attention_backward_queries_chunk<T>,
      .attention_backward_keys = attention_backward_keys_chunk<T>,
  };
}

constexpr Kernels kernel_table(char const* name) {
  return {
      .name = name,
      .f32 = typed_kernels<float>(),
      .bf16s = typed_kernels<bf16>(),
      .f16s = typed_kernels<f16>(),
      .cross_entropy_block = cross_entropy_block_row,
      .sine_cosine = sine_cosine_row,
      .exp = exp_row,
  };
}

}  // namespace
}  // namespace lomo::cpu

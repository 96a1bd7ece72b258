#include "kernels/attention.h"

#include <string>

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {
namespace {

constexpr std::int64_t kMaxWidth = 256;

kernels::AttentionRows rows(Sequences const& s) {
  return {address<std::int32_t>(s.starts), address<std::int32_t>(s.positions), s.positions.rows(),
          s.longest};
}

kernels::AttentionShape shape(Sequences const& s, Heads const& heads) {
  if (heads.width > kMaxWidth) {
    throw Error("attention: heads of width " + std::to_string(heads.width) +
                "; the CUDA engine has kernels for widths up to " + std::to_string(kMaxWidth) +
                ". Use --device cpu");
  }
  const bool windowed = heads.window > 0 && heads.window < kernels::kNoWindow;
  return {s.count(),       heads.query,
          heads.key_value, heads.width,
          heads.scale,     windowed ? static_cast<std::int32_t>(heads.window) : kernels::kNoWindow};
}

}  // namespace

void CudaBackend::do_attention(Tensor result, Tensor lse, Tensor q, Tensor k, Tensor v,
                               Sequences const& q_rows, Sequences const& k_rows,
                               Heads const& heads) {
  check(kernels::attention(storage(q.dtype()), out(result), out(lse), in(q), in(k), in(v),
                           rows(q_rows), rows(k_rows), shape(q_rows, heads), queue_),
        "attention");
}

void CudaBackend::do_attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor result,
                                        Tensor lse, Tensor q, Tensor k, Tensor v,
                                        Sequences const& q_rows, Sequences const& k_rows,
                                        Heads const& heads) {
  const Buffer work = workspace_of("attention_backward", workspaces_.attention_backward(q, heads));
  check(
      kernels::attention_backward(storage(q.dtype()), out(dq), out(dk), out(dv), in(dout),
                                  in(result), in(lse), in(q), in(k), in(v), rows(q_rows),
                                  rows(k_rows), shape(q_rows, heads), work.tensor().raw(), queue_),
      "attention_backward");
}

}  // namespace lomo::cuda

#pragma once
#include "launch.h"
#include "workspace.h"

namespace lomo::kernels {

/// Sequences laid end to end: sequence s owns rows [starts[s], starts[s + 1]) of its matrix, row r
/// stands at positions[r]. Query rows of sequence s look at key rows of sequence s.
struct AttentionRows {
  std::int32_t const* starts = nullptr;
  std::int32_t const* positions = nullptr;
  std::int64_t count = 0;    // rows
  std::int64_t longest = 0;  // rows of the longest sequence
};

/// Larger than any position; a position and it are no overflow.
inline constexpr std::int32_t kNoWindow = 1 << 30;

/// Query head h looks at key/value head h / (heads / kv_heads).
struct AttentionShape {
  std::int64_t sequences = 0, heads = 0, kv_heads = 0, width = 0;
  float scale = 0;
  std::int32_t window = kNoWindow;  // keys a query sees at most, its own position's among them
};

/// The kernels there are: for any even width up to 256 and every type, or for those of
/// attention_has_tiles, if rows are 16-byte aligned. `tuned` falls back to the simple ones.
/// out, q (q_rows, heads width), k, v (k_rows, kv_heads width), lse (q_rows, heads) f32. A query
/// sees the keys whose position is not above its own, nor shape.window or more below; one that sees
/// none gets 0 and lse = -inf.
cudaError_t attention(Storage type, Out out, Out lse, In q, In k, In v, AttentionRows q_rows,
                      AttentionRows k_rows, AttentionShape shape, cudaStream_t stream,
                      Variant variant = Variant::tuned);

/// dq, dk, dv from dout (q_rows, heads width) and what the forward saw and made.
cudaError_t attention_backward(Storage type, Out dq, Out dk, Out dv, In dout, In out, In lse, In q,
                               In k, In v, AttentionRows q_rows, AttentionRows k_rows,
                               AttentionShape shape, void* workspace, cudaStream_t stream,
                               Variant variant = Variant::tuned);

}  // namespace lomo::kernels

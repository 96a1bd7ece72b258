#include <omp.h>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "scratch.h"
#include "sequence_chunks.h"

namespace lomo::cpu {

// Two passes, each of which owns what it writes: dq by chunks of queries, dk and dv by chunks of
// keys. The scores are computed in both, which costs two products out of seven and makes every sum
// run in one order on any number of threads without partial results in memory.
void CpuBackend::do_attention_backward(Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out,
                                       Tensor lse, Tensor q, Tensor k, Tensor v,
                                       Sequences const& q_rows, Sequences const& k_rows,
                                       Heads const& heads) {
  if (q.rows() == 0 && k.rows() == 0) return;
  const std::int64_t width = heads.width, group = heads.query / heads.key_value;
  const std::int64_t per_thread = workspace::attention_values(width);
  const Buffer block = workspace_of("attention_backward", workspaces_.attention_backward(q, heads));
  Scratch scratch(block);
  float* const work = scratch.take<float>(threads_ * per_thread);
  float* const deltas = scratch.take<float>(q.rows() * heads.query);  // (Nq,H)
  const std::vector<Chunk> q_chunks = cut_chunks(q_rows, kChunkRows);
  const std::vector<Chunk> k_chunks = cut_chunks(k_rows, kChunkRows);
  const auto q_tasks = static_cast<std::int64_t>(q_chunks.size()) * heads.query;
  const auto k_tasks = static_cast<std::int64_t>(k_chunks.size()) * heads.key_value;
  std::int32_t const* const q_starts = q_rows.starts.data<std::int32_t>();
  std::int32_t const* const k_starts = k_rows.starts.data<std::int32_t>();
  std::int32_t const* const q_positions = q_rows.positions.data<std::int32_t>();
  std::int32_t const* const k_positions = k_rows.positions.data<std::int32_t>();
  float* const lse_rows = lse.data<float>();
  dispatch(q.dtype(), [&]<class T>(T) {
    auto const& run = kernels().of<T>();
    // What both passes see of sequence `s`, from query row `query` and key row `key` on.
    const auto part = [&](std::int64_t query, std::int64_t queries, std::int64_t head,
                          std::int64_t key, std::int64_t keys) {
      const std::int64_t column = head / group * width;
      return AttentionChunk<T>{.q = q.data<T>() + query * q.pitch() + head * width,
                               .dout = dout.data<T>() + query * dout.pitch() + head * width,
                               .k = k.data<T>() + key * k.pitch() + column,
                               .v = v.data<T>() + key * v.pitch() + column,
                               .q_pitch = q.pitch(),
                               .dout_pitch = dout.pitch(),
                               .k_pitch = k.pitch(),
                               .v_pitch = v.pitch(),
                               .q_positions = q_positions + query,
                               .k_positions = k_positions + key,
                               .queries = queries,
                               .keys = keys,
                               .width = width,
                               .scale = heads.scale,
                               .window = window_of(heads),
                               .lse = lse_rows + query * lse.pitch() + head,
                               .delta = deltas + query * heads.query + head,
                               .lse_pitch = lse.pitch(),
                               .delta_pitch = heads.query,
                               .scratch = work + omp_get_thread_num() * per_thread};
    };
#pragma omp parallel num_threads(threads_)
    {
#pragma omp for
      for (std::int64_t n = 0; n < q.rows(); ++n) {
        for (std::int64_t h = 0; h < heads.query; ++h) {
          deltas[n * heads.query + h] = run.dot(dout.data<T>() + n * dout.pitch() + h * width,
                                                out.data<T>() + n * out.pitch() + h * width, width);
        }
      }
#pragma omp for schedule(dynamic) nowait
      for (std::int64_t task = 0; task < q_tasks; ++task) {
        Chunk const& chunk = q_chunks[static_cast<std::size_t>(task / heads.query)];
        const std::int64_t head = task % heads.query, key = k_starts[chunk.sequence];
        AttentionChunk<T> s =
            part(chunk.first, chunk.count, head, key, k_starts[chunk.sequence + 1] - key);
        s.out = dq.data<T>() + chunk.first * dq.pitch() + head * width;
        s.out_pitch = dq.pitch();
        run.attention_backward_queries(s);
      }
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < k_tasks; ++task) {
        Chunk const& chunk = k_chunks[static_cast<std::size_t>(task / heads.key_value)];
        const std::int64_t head = task % heads.key_value, query = q_starts[chunk.sequence];
        AttentionChunk<T> s = part(query, q_starts[chunk.sequence + 1] - query, head * group,
                                   chunk.first, chunk.count);
        s.heads = group;
        s.dk = dk.data<T>() + chunk.first * dk.pitch() + head * width;
        s.dv = dv.data<T>() + chunk.first * dv.pitch() + head * width;
        s.dk_pitch = dk.pitch();
        s.dv_pitch = dv.pitch();
        run.attention_backward_keys(s);
      }
    }
  });
}

}  // namespace lomo::cpu

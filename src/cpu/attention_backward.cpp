#include <omp.h>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "scratch.h"
#include "strips.h"

namespace lomo::cpu {

// Two passes, each of which owns what it writes: dq by strips of queries, dk and dv by strips of
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
  const std::vector<Strip> q_strips = cut_strips(q_rows, kStripRows);
  const std::vector<Strip> k_strips = cut_strips(k_rows, kStripRows);
  const auto q_tasks = static_cast<std::int64_t>(q_strips.size()) * heads.query;
  const auto k_tasks = static_cast<std::int64_t>(k_strips.size()) * heads.key_value;
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
      return AttentionStrip<T>{.q = q.data<T>() + query * q.pitch() + head * width,
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
        Strip const& strip = q_strips[static_cast<std::size_t>(task / heads.query)];
        const std::int64_t head = task % heads.query, key = k_starts[strip.sequence];
        AttentionStrip<T> s =
            part(strip.first, strip.count, head, key, k_starts[strip.sequence + 1] - key);
        s.out = dq.data<T>() + strip.first * dq.pitch() + head * width;
        s.out_pitch = dq.pitch();
        run.attention_backward_queries(s);
      }
#pragma omp for schedule(dynamic)
      for (std::int64_t task = 0; task < k_tasks; ++task) {
        Strip const& strip = k_strips[static_cast<std::size_t>(task / heads.key_value)];
        const std::int64_t head = task % heads.key_value, query = q_starts[strip.sequence];
        AttentionStrip<T> s = part(query, q_starts[strip.sequence + 1] - query, head * group,
                                   strip.first, strip.count);
        s.heads = group;
        s.dk = dk.data<T>() + strip.first * dk.pitch() + head * width;
        s.dv = dv.data<T>() + strip.first * dv.pitch() + head * width;
        s.dk_pitch = dk.pitch();
        s.dv_pitch = dv.pitch();
        run.attention_backward_keys(s);
      }
    }
  });
}

}  // namespace lomo::cpu

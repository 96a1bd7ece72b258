#include <omp.h>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "scratch.h"
#include "sequence_chunks.h"

namespace lomo::cpu {

void CpuBackend::do_attention(Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
                              Sequences const& q_rows, Sequences const& k_rows,
                              Heads const& heads) {
  if (q.rows() == 0) return;
  const std::int64_t width = heads.width, group = heads.query / heads.key_value;
  const std::int64_t per_thread = workspace::attention_values(width);
  const Buffer block = workspace_of("attention", workspaces_.attention(heads));
  float* const work = Scratch(block).take<float>(threads_ * per_thread);
  const std::vector<Chunk> chunks = cut_chunks(q_rows, kChunkRows);
  const auto tasks = static_cast<std::int64_t>(chunks.size()) * heads.query;
  std::int32_t const* const k_starts = k_rows.starts.data<std::int32_t>();
  std::int32_t const* const q_positions = q_rows.positions.data<std::int32_t>();
  std::int32_t const* const k_positions = k_rows.positions.data<std::int32_t>();
  dispatch(q.dtype(), [&]<class T>(T) {
    auto const& run = kernels().of<T>();
#pragma omp parallel for num_threads(threads_) schedule(dynamic)
    for (std::int64_t task = 0; task < tasks; ++task) {
      Chunk const& chunk = chunks[static_cast<std::size_t>(task / heads.query)];
      const std::int64_t head = task % heads.query;
      const std::int64_t key = k_starts[chunk.sequence];
      const std::int64_t column = head / group * width;
      run.attention({.q = q.data<T>() + chunk.first * q.pitch() + head * width,
                     .k = k.data<T>() + key * k.pitch() + column,
                     .v = v.data<T>() + key * v.pitch() + column,
                     .q_pitch = q.pitch(),
                     .k_pitch = k.pitch(),
                     .v_pitch = v.pitch(),
                     .q_positions = q_positions + chunk.first,
                     .k_positions = k_positions + key,
                     .queries = chunk.count,
                     .keys = k_starts[chunk.sequence + 1] - key,
                     .width = width,
                     .scale = heads.scale,
                     .window = window_of(heads),
                     .lse = lse.data<float>() + chunk.first * lse.pitch() + head,
                     .lse_pitch = lse.pitch(),
                     .out = out.data<T>() + chunk.first * out.pitch() + head * width,
                     .out_pitch = out.pitch(),
                     .scratch = work + omp_get_thread_num() * per_thread});
    }
  });
}

}  // namespace lomo::cpu

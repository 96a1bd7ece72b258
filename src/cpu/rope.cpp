#include <algorithm>

#include "dispatch.h"
#include "engine.h"
#include "kernels.h"
#include "scratch.h"

namespace lomo::cpu {

void CpuBackend::do_rope(Tensor x, Tensor positions, Tensor inv_freq, Rotation rotation,
                         RopeHeads heads) {
  const std::int64_t rows = x.rows(), half = inv_freq.rows();
  if (rows == 0 || half == 0) return;
  // Sines and cosines are the same for all heads of a row: a block of rows at a time, so that the
  // scratch does not depend on the number of threads.
  constexpr std::int64_t kRowsAtOnce = workspace::kRopeRows;
  const Buffer work = workspace_of("rope", workspaces_.rope(x, inv_freq));
  float* const turns =  // (rows at once,D): sines, then cosines
      Scratch(work).take<float>(std::min(rows, kRowsAtOnce) * 2 * half);
  std::int32_t const* const at = positions.data<std::int32_t>();
  float const* const freq = inv_freq.data<float>();
  dispatch(x.dtype(), [&]<class T>(T) {
    auto const& k = kernels();
    T* const data = x.data<T>();
    for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, rows - first);
#pragma omp parallel for num_threads(threads_)
      for (std::int64_t i = 0; i < count; ++i) {
        const std::int32_t position = at[first + i];
        float* const sine = turns + i * 2 * half;
        float* const cosine = sine + half;
        // An inverse turn is a turn by the opposite angle.
        k.sine_cosine(sine, cosine, rotation == Rotation::forward ? position : -position, freq,
                      half);
        if (heads.scale != 1) {
          for (std::int64_t j = 0; j < 2 * half; ++j) sine[j] *= heads.scale;  // and cosines
        }
        k.of<T>().rotate(data + (first + i) * x.pitch(), sine, cosine, x.cols() / heads.width,
                         heads.width, half);
      }
    }
  });
}

}  // namespace lomo::cpu

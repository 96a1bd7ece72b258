#include "arguments.h"
#include "engine.h"
#include "kernels/convert.h"

namespace lomo::cuda {
namespace {

/// Bytes from one row to the next, and of a row. What is dense counts as one row.
struct Extent {
  explicit Extent(Tensor t) {
    const std::size_t size = size_of(t.dtype());
    if (t.dense() || t.shape().rank() == 1) {
      width = pitch = t.bytes();
      height = 1;
    } else {
      width = static_cast<std::size_t>(t.cols()) * size;
      pitch = static_cast<std::size_t>(t.pitch()) * size;
      height = static_cast<std::size_t>(t.rows());
    }
  }
  std::size_t pitch, width, height;
};

/// Copies rows of this extent. One row goes by itself: the pitch of a copy is limited.
void move(void* to, std::size_t to_pitch, void const* from, std::size_t from_pitch,
          Extent const& rows, cudaMemcpyKind kind, cudaStream_t queue) {
  if (rows.height == 1) {
    return check(cudaMemcpyAsync(to, from, rows.width, kind, queue), "cudaMemcpyAsync");
  }
  check(cudaMemcpy2DAsync(to, to_pitch, from, from_pitch, rows.width, rows.height, kind, queue),
        "cudaMemcpy2DAsync");
}

kernels::Number number(DType type) {
  switch (type) {
    case DType::f32:
      return kernels::Number::f32;
    case DType::bf16:
      return kernels::Number::bf16;
    case DType::f16:
      return kernels::Number::f16;
    case DType::f64:
      return kernels::Number::f64;
    case DType::i32:
      break;
  }
  throw Error("copy: i32 is not converted");
}

/// A vector as a matrix of one row, which is what kernels take.
Tensor as_rows(Tensor t) {
  return t.shape().rank() == 2 ? t : t.reshaped(Shape(1, t.rows()));
}

}  // namespace

void CudaBackend::do_upload(Tensor dst, std::span<std::byte const> src) {
  const Extent to(dst);
  staging_.upload(dst.raw(), to.pitch, src.data(), to.width, to.height, queue_, watcher_);
}

void CudaBackend::do_download(std::span<std::byte> dst, Tensor src) {
  const Extent from(src);
  wait_for(queue_);  // a copy to pageable memory waits as well, and cannot be watched
  move(dst.data(), from.width, src.raw(), from.pitch, from, cudaMemcpyDeviceToHost, queue_);
  check(cudaStreamSynchronize(queue_), "cudaStreamSynchronize, of a download");
}

void CudaBackend::do_copy(Tensor dst, Tensor src) {
  if (dst.dtype() != src.dtype()) {
    const Tensor to = as_rows(dst), from = as_rows(src);
    return check(kernels::convert(number(dst.dtype()), out(to), number(src.dtype()), in(from),
                                  to.rows(), to.cols(), queue_),
                 "copy");
  }
  if (dst.raw() == src.raw()) return;
  const Extent to(dst), from(src);
  // Where one of them is dense its rows are as wide as the other's.
  Extent const& rows = to.height > from.height ? to : from;
  move(dst.raw(), to.height > 1 ? to.pitch : rows.width, src.raw(),
       from.height > 1 ? from.pitch : rows.width, rows, cudaMemcpyDeviceToDevice, queue_);
}

void CudaBackend::do_zero(Tensor x) {
  const Extent to(x);
  if (to.height == 1) {
    return check(cudaMemsetAsync(x.raw(), 0, to.width, queue_), "cudaMemsetAsync");
  }
  check(cudaMemset2DAsync(x.raw(), to.pitch, 0, to.width, to.height, queue_), "cudaMemset2DAsync");
}

}  // namespace lomo::cuda

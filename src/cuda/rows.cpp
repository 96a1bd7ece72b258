#include "kernels/rows.h"

#include "arguments.h"
#include "engine.h"

namespace lomo::cuda {

void CudaBackend::do_gather_rows(Tensor y, Tensor x, Tensor index) {
  check(kernels::gather_rows(static_cast<int>(size_of(y.dtype())), out(y), in(x),
                             address<std::int32_t>(index), y.rows(), y.cols(), queue_),
        "gather_rows");
}

void CudaBackend::do_scatter_rows(Tensor y, Tensor x, Tensor index) {
  check(kernels::scatter_rows(static_cast<int>(size_of(y.dtype())), out(y), in(x),
                              address<std::int32_t>(index), x.rows(), x.cols(), queue_),
        "scatter_rows");
}

void CudaBackend::do_sum_rows(Tensor sums, Tensor dy, Tensor order, Tensor segments) {
  check(kernels::sum_rows(storage(dy.dtype()), out(sums), in(dy), address<std::int32_t>(order),
                          address<std::int32_t>(segments), sums.rows(), sums.cols(), queue_),
        "sum_rows");
}

void CudaBackend::do_add_rows(Tensor g, Tensor u, Tensor index, std::int64_t first) {
  check(kernels::add_rows(out(g), in(u), address<std::int32_t>(index), first, g.rows(), u.rows(),
                          u.cols(), queue_),
        "add_rows");
}

}  // namespace lomo::cuda

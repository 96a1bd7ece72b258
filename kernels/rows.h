#pragma once
#include "launch.h"

namespace lomo::kernels {

/// y row i = x row index[i].   y (rows,cols), elements of 2, 4 or 8 bytes.
cudaError_t gather_rows(int element_bytes, Out y, In x, std::int32_t const* index,
                        std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                        Variant variant = Variant::tuned);

/// y row index[i] = x row i; indices are distinct.   x (rows,cols).
cudaError_t scatter_rows(int element_bytes, Out y, In x, std::int32_t const* index,
                         std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                         Variant variant = Variant::tuned);

/// out row u = sum of rows order[segments[u] .. segments[u + 1]) of dy, added in that order.
/// out (segments,cols) f32, dy of `type`, segments (count + 1).
cudaError_t sum_rows(Storage type, Out out, In dy, std::int32_t const* order,
                     std::int32_t const* segments, std::int64_t count, std::int64_t cols,
                     cudaStream_t stream, Variant variant = Variant::tuned);

/// g row index[i] - first += u row i where that lies in [0, tile).   g (tile,cols), u (rows,cols)
/// f32; indices are distinct.
cudaError_t add_rows(Out g, In u, std::int32_t const* index, std::int64_t first, std::int64_t tile,
                     std::int64_t rows, std::int64_t cols, cudaStream_t stream,
                     Variant variant = Variant::tuned);

}  // namespace lomo::kernels

#pragma once
#include "launch.h"

namespace lomo::kernels {

/// act (rows,F) = silu(gate) * up.   gate_up (rows,2F): gate left, up right.
cudaError_t swiglu(Storage type, Out act, In gate_up, std::int64_t rows, std::int64_t f,
                   cudaStream_t stream, Variant variant = Variant::tuned);

/// d_gate_up (rows,2F) from d_act (rows,F); d_gate_up may be gate_up.
cudaError_t swiglu_backward(Storage type, Out d_gate_up, In d_act, In gate_up, std::int64_t rows,
                            std::int64_t f, cudaStream_t stream, Variant variant = Variant::tuned);

}  // namespace lomo::kernels

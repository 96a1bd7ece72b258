#pragma once
#include <string>
#include <string_view>

#include "lomo/config/keys.h"

/// The keys of each section, in declare_data.cpp, declare_training.cpp and declare_run.cpp.
namespace lomo::keys {

ConfigSection declare(ModelSection& model);
ConfigSection declare(DataSection& data);
ConfigSection declare(BatchSection& batch);
ConfigSection declare(TrainSection& train);
ConfigSection declare(OptimizerOptions& optimizer);
ConfigSection declare(ScheduleSection& schedule);
ConfigSection declare(ClipSection& clip);
ConfigSection declare(GradientCheck& value);
ConfigSection declare(LossScaleSection& loss_scale);
ConfigSection declare(SpikeGuardSection& spike_guard);
ConfigSection declare(MetricsSection& metrics);
ConfigSection declare(MemorySection& memory);
ConfigSection declare(RanksSection& ranks);
ConfigSection declare(EvalSection& eval);
ConfigSection declare(SaveSection& save);
ConfigSection declare_output(std::string& output);

}  // namespace lomo::keys

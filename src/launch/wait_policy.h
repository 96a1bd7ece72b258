#pragma once

namespace lomo::launch {

/// OpenMP's idle threads spin by default and steal time from oneDNN's; libgomp reads the policy
/// when it is loaded, so a process without one sets it and starts itself again, once.
void set_wait_policy(char** argv);

}  // namespace lomo::launch

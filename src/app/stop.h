#pragma once

namespace lomo::app {

/// The first SIGINT or SIGTERM asks the run to finish its step, save and end; the second ends the
/// process at once with 130.
void listen_for_stop();
bool stop_requested();

}  // namespace lomo::app

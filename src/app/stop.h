#pragma once

namespace lomo::app {

/// SIGINT (Ctrl-C), SIGTERM, SIGUSR1 and SIGHUP ask the run to finish its step, save and end with
/// 7: job queues send SIGUSR1 ahead of the end, launchers send SIGTERM after the terminal's SIGINT.
/// Only a second SIGINT ends the process at once, with 130; the others never cut a save short.
/// SIGHUP stays ignored where it was (nohup), and output that nobody reads any more does not end a
/// run.
void listen_for_stop();
bool stop_requested();

}  // namespace lomo::app

#pragma once

namespace lomo::app {

/// SIGINT (Ctrl-C), SIGTERM, SIGUSR1 and SIGHUP ask the run to finish its step, save and end with
/// 7: job queues send SIGUSR1 ahead of the end, launchers send SIGTERM after the terminal's SIGINT.
/// Only a second SIGINT ends the process at once, with 130; the others never cut a save short.
/// SIGHUP stays ignored where it was (nohup), and output that nobody reads any more does not end a
/// run.
///
/// `speak`: the terminal is told at once; on several ranks the run says it when all have agreed.
void listen_for_stop(bool speak);
bool stop_requested();
/// SIGTERMs so far, by which a launcher ends ranks before it kills them.
int terminations();

}  // namespace lomo::app

#pragma once

namespace lomo::launch {

/// How this process answers SIGINT (Ctrl-C), SIGTERM, SIGUSR1 and SIGHUP, which all ask it to stop.
///
/// At first nothing is lost by it: a request ends the process at once, with 7, whatever it is in
/// the middle of. What is written then is written as if the process may be killed at any moment.
/// After defer_stops() a request is noted, and who asks stop_requested() finishes its step and
/// saves.
///
/// After any request one SIGINT more ends the process at once, with 130. The others never do,
/// however many there are: launchers and job queues repeat them, and a save must not be cut short.
///
/// SIGHUP stays ignored where it was (nohup). SIGPIPE is ignored: output that nobody reads any more
/// is a write that fails. To be called first thing in main.
void listen_for_stop();

/// From here on there is something to save.
void defer_stops();
bool stop_requested();

/// Who says that a request was heard. Until this is called nobody does where there may be ranks.
enum class StopVoice {
  alone,   // this process, at once
  leader,  // rank 0 while a request ends it at once; later the run, when all ranks have agreed
  silent
};
void speak_on_stop(StopVoice voice);
/// What it says where a request ends it at once; a literal.
void say_on_stop(char const* words);

/// While it lives a SIGINT ends what is being written, not the process: it is noted. One more is a
/// request as ever.
class Interruptible {
 public:
  Interruptible();
  ~Interruptible();
  Interruptible(Interruptible const&) = delete;
  Interruptible& operator=(Interruptible const&) = delete;
  static bool interrupted();
};

/// Requests are held back until the next listen_for_stop(): for a process that is about to replace
/// itself by another.
void hold_stops();

/// SIGTERMs so far, by which a launcher ends ranks before it kills them.
int terminations();

}  // namespace lomo::launch

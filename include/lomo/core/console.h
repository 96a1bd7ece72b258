#pragma once
#include <string_view>

/// What the user sees beside the log: results on stdout, and one line at the end of a terminal that
/// is drawn again and again.
namespace lomo::console {

/// To be called before any file is opened: where stdin, stdout or stderr is closed, the next file
/// would take its place, and what is printed would be written into that file. Afterwards a closed
/// stdin is empty, a closed stdout an error of print(), and what goes to a closed stderr is lost.
void hold_closed_streams();

/// Writes all of `text` to stdout, now. Throws Error(Exit::failure) that says why it cannot be
/// written: a full disk, a pipe that nobody reads.
void print(std::string_view text);
/// The same; false when the reader of a pipe has closed it (`| head`).
bool print_while_read(std::string_view text);

/// Whether stderr is a terminal that obeys escape codes; where it is not, nothing of this draws.
bool can_draw();
/// From here on it does not: for all ranks but one.
void never_draw();
/// Columns of that terminal; 80 where it does not say.
int columns();

/// Draws `line`, cut to the terminal, in place of the last one; empty: takes it away. Log lines go
/// above it.
void status(std::string_view line);
/// Calls `write`, which writes to stderr, with the status line out of its way.
template <class F>
void above_status(F const& write);

// ---- of above_status
void hide_status();
void show_status();

template <class F>
void above_status(F const& write) {
  hide_status();
  write();
  show_status();
}

}  // namespace lomo::console

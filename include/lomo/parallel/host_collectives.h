#pragma once
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/backend/communicator.h"

/// Blocking collectives between the CPU sides of the ranks, usable before an engine exists.
namespace lomo {

/// Rank 0, which writes what is written once.
inline bool is_root(Communicator const& host) {
  return host.rank() == 0;
}

/// The strings of all ranks, in rank order.
std::vector<std::string> all_gather_strings(Communicator& host, std::string_view mine);

/// What `f` returns on rank 0, the only one that calls it. An exception there becomes the same
/// Error on every rank.
std::string broadcast_from_root(Communicator& host, std::function<std::string()> const& f);
/// The same for what has no words.
void on_root(Communicator& host, std::function<void()> const& f);

/// Calls `f` on every rank. When it throws on some, every rank throws the Error of the lowest of
/// them, which says which one unless it threw on all. `f` itself must not exchange anything.
void all_ranks_or_throw(Communicator& host, std::function<void()> const& f);

/// Logical or over ranks.
bool any_rank(Communicator& host, bool mine);

}  // namespace lomo

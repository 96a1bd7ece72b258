#include "nccl_exchange.h"

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "memory.h"

namespace cuda_host {
namespace {

constexpr auto kTimeout = std::chrono::seconds(60);

char const* const kFunctions[] = {"ncclSend", "ncclAllGather", "ncclAllReduce", "ncclBroadcast"};

std::string words(Envelope const& e) {
  char const* const types[] = {"int8",   "uint8",   "int32",   "uint32",  "int64",
                               "uint64", "float16", "float32", "float64", "bfloat16"};
  return std::to_string(e.count) + " elements of " +
         (e.type >= 0 && e.type < 10 ? types[e.type] : "another type") + " by " +
         kFunctions[e.function];
}

bool same(Envelope const& a, Envelope const& b) {
  return a.function == b.function && a.type == b.type && a.count == b.count;
}

template <class T>
void combine(char* to, char const* from, std::size_t bytes, ncclRedOp_t op) {
  for (std::size_t i = 0; i < bytes; i += sizeof(T)) {
    T a, b;
    std::memcpy(&a, to + i, sizeof a);
    std::memcpy(&b, from + i, sizeof b);
    if (op == ncclSum) a = static_cast<T>(a + b);
    if (op == ncclMax) a = std::max(a, b);
    if (op == ncclMin) a = std::min(a, b);
    std::memcpy(to + i, &a, sizeof a);
  }
}

void combine(Transfer const& t, std::vector<char> const& bytes) {
  switch (t.envelope.type) {
    case ncclInt32:
      return combine<std::int32_t>(t.at, bytes.data(), bytes.size(), t.op);
    case ncclInt64:
      return combine<std::int64_t>(t.at, bytes.data(), bytes.size(), t.op);
    case ncclUint64:
      return combine<std::uint64_t>(t.at, bytes.data(), bytes.size(), t.op);
    case ncclFloat64:
      return combine<double>(t.at, bytes.data(), bytes.size(), t.op);
    default:
      return combine<float>(t.at, bytes.data(), bytes.size(), t.op);
  }
}

}  // namespace

std::size_t size_of(ncclDataType_t type) {
  switch (type) {
    case ncclInt8:
    case ncclUint8:
      return 1;
    case ncclFloat16:
    case ncclBfloat16:
      return 2;
    case ncclInt32:
    case ncclUint32:
    case ncclFloat32:
      return 4;
    case ncclInt64:
    case ncclUint64:
    case ncclFloat64:
      return 8;
    default:
      return 0;
  }
}

}  // namespace cuda_host

using namespace cuda_host;

std::string ncclComm::send(Exchange& exchange) {
  if (wire == nullptr) return {};  // aborted
  for (Transfer& t : exchange.sends) {
    t.sent.assign(t.at, t.at + t.bytes);
    wire->send(t.peer, t.envelope, t.sent);
  }
  return {};
}

std::string ncclComm::receive(Exchange& exchange) {
  if (wire == nullptr) return {};
  for (Transfer const& t : exchange.sends) {
    if (t.bytes != 0 && std::memcmp(t.at, t.sent.data(), t.bytes) != 0) {
      return "memory that rank " + std::to_string(rank) + " still sends to rank " +
             std::to_string(t.peer) + " (" + words(t.envelope) + ") was written to";
    }
  }
  for (Transfer const& t : exchange.receives) {
    const Message m = wire->take(t.peer);
    if (!same(m.envelope, t.envelope)) {
      error = ncclInvalidUsage;
      text = "rank " + std::to_string(rank) + " expects " + words(t.envelope) + " from rank " +
             std::to_string(t.peer) + ", which sent " + words(m.envelope);
      return text;
    }
    if (t.reduces) {
      combine(t, m.bytes);
    } else if (t.bytes != 0) {
      std::memcpy(t.at, m.bytes.data(), t.bytes);
    }
  }
  return {};
}

Work::Readiness ncclComm::readiness(Exchange& exchange) {
  if (wire == nullptr) return Work::Readiness::now;
  std::vector<std::size_t> needed(static_cast<std::size_t>(size));
  for (Transfer const& t : exchange.receives) ++needed[static_cast<std::size_t>(t.peer)];
  int missing = -1;
  for (int peer = 0; peer < size && missing < 0; ++peer) {
    const bool gone = wire->gone(peer);  // before the count: all it sent was here by then
    if (wire->arrived(peer) >= needed[static_cast<std::size_t>(peer)]) continue;
    if (gone) return Work::Readiness::never;
    missing = peer;
  }
  if (missing < 0) return Work::Readiness::now;
  const auto now = std::chrono::steady_clock::now();
  if (exchange.first_look) exchange.waits_since = now;
  exchange.first_look = false;
  if (now - exchange.waits_since < kTimeout) return Work::Readiness::later;
  error = ncclRemoteError;
  text = "rank " + std::to_string(rank) + " heard nothing from rank " + std::to_string(missing) +
         " for a minute";
  return Work::Readiness::never;
}

/// Sends at once, whatever else the seed lets wait: other ranks may need it while this one's host
/// is busy elsewhere. That the memory is not written to too early is looked at when it receives.
void ncclComm::enqueue(Stream& stream, Exchange exchange) {
  exchanges.push_back(std::move(exchange));
  Exchange& mine = exchanges.back();
  Work out;
  out.run = [this, &mine] { return send(mine); };
  streams().enqueue(stream, std::move(out));
  const std::uint64_t sent = streams().last_fence();
  Work in;
  in.ready = [this, &mine] { return readiness(mine); };
  in.run = [this, &mine] {
    std::string failure = receive(mine);
    exchanges.pop_front();
    return failure;
  };
  streams().reach(stream, sent);
  streams().enqueue(stream, std::move(in));
}

ncclResult_t ncclComm::finish(std::function<ncclResult_t()> rest) {
  if (blocking) return rest();
  unfinished = std::move(rest);
  looks = 0;
  return ncclInProgress;
}

ncclResult_t ncclComm::look() {
  if (joining.valid()) {
    if (joining.wait_for(std::chrono::seconds(0)) != std::future_status::ready) {
      return ncclInProgress;
    }
    try {
      wire = joining.get();
      return ncclSuccess;  // they have met: a rank that is lost already is for the next look
    } catch (std::runtime_error const& e) {
      error = ncclSystemError;
      text = std::string("ncclCommInitRank: ") + e.what();
    }
  }
  if (unfinished != nullptr) {
    if (looks++ == 0) return ncclInProgress;
    const ncclResult_t result = std::exchange(unfinished, nullptr)();
    if (result != ncclSuccess) error = result;
  }
  const int lost = wire == nullptr ? -1 : wire->lost();
  if (error == ncclSuccess && lost >= 0) {
    error = ncclRemoteError;
    text = "rank " + std::to_string(lost) + " is gone";
  }
  return error;
}

// NCCL's functions between processes of one machine. A group's calls of a communicator are one
// exchange on one stream. Sums go in rank order.
#include <nccl.h>
#include <unistd.h>

#include <cstring>
#include <random>
#include <stdexcept>
#include <utility>

#include "communicators.h"
#include "device_state.h"
#include "memory.h"
#include "nccl_exchange.h"

using namespace cuda_host;

namespace {

enum Function { kSend, kAllGather, kAllReduce, kBroadcast };

struct Gathered {  // by ncclGroupEnd
  ncclComm* comm;
  Stream* stream;
  Exchange exchange;
};
struct State {
  std::vector<std::unique_ptr<ncclComm>> communicators;
  std::vector<Gathered> group;
  int depth = 0;
  ncclResult_t group_error = ncclSuccess;
  std::string text;
};
State& state() {
  static State the_state;
  return the_state;
}

ncclResult_t refuse(ncclResult_t error, std::string const& why) {
  state().text = why;
  note_refusal(why);
  if (state().depth > 0 && state().group_error == ncclSuccess) state().group_error = error;
  return error;
}

ncclResult_t launch_group() {
  std::vector<Gathered> group = std::move(state().group);
  state().group.clear();
  ncclResult_t result = ncclSuccess;
  for (Gathered& g : group) {
    const ncclResult_t launched = g.comm->finish([mine = std::make_shared<Gathered>(std::move(g))] {
      mine->comm->enqueue(*mine->stream, std::move(mine->exchange));
      if (sticky() != cudaSuccess) return refuse(ncclUnhandledCudaError, report());
      return ncclSuccess;
    });
    if (launched != ncclSuccess && launched != ncclInProgress) return launched;
    if (launched == ncclInProgress) result = launched;
  }
  return result;
}

bool reachable(void const* p, std::size_t bytes) {
  return bytes == 0 || is_device_memory(p, bytes) || is_pinned(p, bytes);
}

/// One call: checks what every call gives, lets `add` put transfers into the group's exchange, and
/// launches at once outside a group.
template <class F>
ncclResult_t call(char const* name, std::size_t count, ncclDataType_t type, int peer,
                  ncclComm_t comm, cudaStream_t handle, F add) {
  const std::string who(name);
  if (sticky() != cudaSuccess) return refuse(ncclUnhandledCudaError, report());
  if (comm != nullptr && comm->in_progress()) {
    return refuse(
        ncclInvalidArgument,
        who + ": the last call of the communicator is not done: ask ncclCommGetAsyncError");
  }
  if (comm == nullptr || comm->wire == nullptr) {
    return refuse(ncclInvalidArgument, who + ": no communicator, or one that was given back");
  }
  Stream* const stream = streams().find(handle);
  if (stream == nullptr) return refuse(ncclInvalidArgument, who + ": no such stream");
  if (cuda_host::size_of(type) == 0) {
    return refuse(ncclInvalidArgument, who + ": a type that the emulation has not");
  }
  if (peer < 0 || peer >= comm->size) {
    return refuse(ncclInvalidArgument,
                  who + ": rank " + std::to_string(peer) + " of " + std::to_string(comm->size));
  }
  Gathered* mine = nullptr;
  for (Gathered& g : state().group) {
    if (g.comm != comm) continue;
    if (g.stream != stream) {
      return refuse(ncclInvalidUsage, who +
                                          ": one group on two streams, which the emulation has "
                                          "not");
    }
    mine = &g;
  }
  if (mine == nullptr) mine = &state().group.emplace_back(Gathered{comm, stream, {}});
  const std::string complaint = add(mine->exchange, count * cuda_host::size_of(type));
  if (!complaint.empty()) {
    if (state().depth == 0) state().group.clear();
    return refuse(ncclInvalidArgument, who + ": " + complaint);
  }
  return state().depth == 0 ? launch_group() : ncclSuccess;
}

Transfer transfer(int peer, void const* at, std::size_t bytes, Function function,
                  ncclDataType_t type, std::size_t count) {
  Transfer t{};
  t.peer = peer;
  t.at = static_cast<char*>(const_cast<void*>(at));
  t.bytes = bytes;
  t.envelope = {function, type, count};
  return t;
}

constexpr char const* kNoMemory = "memory that is not of one allocation on the device";

}  // namespace

void cuda_host::forget_communicators() {
  state().communicators.clear();
  state().group.clear();
  state().depth = 0;
}

ncclResult_t ncclGetVersion(int* version) {
  *version = NCCL_VERSION_CODE;
  return ncclSuccess;
}

ncclResult_t ncclGetUniqueId(ncclUniqueId* id) {
  std::random_device random;
  const std::string name = "cuda_host-" + std::to_string(getpid()) + "-" +
                           std::to_string(random()) + std::to_string(random());
  *id = {};
  std::memcpy(id->internal, name.data(), name.size());
  return ncclSuccess;
}

ncclResult_t ncclCommInitRank(ncclComm_t* comm, int size, ncclUniqueId id, int rank) {
  return ncclCommInitRankConfig(comm, size, id, rank, nullptr);
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t* comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t* config) {
  if (sticky() != cudaSuccess) return refuse(ncclUnhandledCudaError, report());
  if (size < 1 || rank < 0 || rank >= size) {
    return refuse(ncclInvalidArgument,
                  "ncclCommInitRank: rank " + std::to_string(rank) + " of " + std::to_string(size));
  }
  const ncclConfig_t plain = NCCL_CONFIG_INITIALIZER;
  if (config != nullptr && (config->size != plain.size || config->magic != plain.magic)) {
    return refuse(ncclInvalidArgument, "ncclCommInitRankConfig: not from NCCL_CONFIG_INITIALIZER");
  }
  auto made = std::make_unique<ncclComm>();
  made->rank = rank;
  made->size = size;
  made->blocking = config == nullptr || config->blocking != 0;
  id.internal[NCCL_UNIQUE_ID_BYTES - 1] = '\0';
  made->joining = std::async(std::launch::async,
                             [name = std::string(id.internal), rank, size, &up = made->given_up] {
                               return std::make_unique<Wire>(name, rank, size, up);
                             });
  *comm = made.get();
  state().communicators.push_back(std::move(made));
  if (!(*comm)->blocking) return ncclInProgress;
  (*comm)->joining.wait();
  return (*comm)->look();
}

ncclResult_t ncclCommFinalize(ncclComm_t comm) {
  if (comm == nullptr || comm->wire == nullptr || comm->in_progress()) return ncclInvalidArgument;
  return comm->finish(
      [] { return cudaDeviceSynchronize() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError; });
}

ncclResult_t ncclCommDestroy(ncclComm_t comm) {
  if (comm == nullptr || comm->wire == nullptr || comm->in_progress()) return ncclInvalidArgument;
  const ncclResult_t result =
      cudaDeviceSynchronize() == cudaSuccess ? ncclSuccess : ncclUnhandledCudaError;
  comm->wire->say_farewell();
  comm->wire.reset();
  return result;
}

ncclResult_t ncclCommAbort(ncclComm_t comm) {
  if (comm == nullptr || (comm->wire == nullptr && !comm->in_progress()))
    return ncclInvalidArgument;
  comm->given_up = true;
  if (comm->joining.valid()) comm->joining.wait();
  comm->joining = {};
  comm->unfinished = nullptr;
  comm->wire.reset();  // what waits for it runs through without effect
  return ncclSuccess;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t comm, ncclResult_t* error) {
  if (comm == nullptr ||
      (comm->wire == nullptr && !comm->in_progress() && comm->error == ncclSuccess)) {
    return ncclInvalidArgument;
  }
  *error = comm->look();
  return ncclSuccess;
}

ncclResult_t ncclCommCount(ncclComm_t const comm, int* count) {
  *count = comm->size;
  return ncclSuccess;
}

ncclResult_t ncclCommUserRank(ncclComm_t const comm, int* rank) {
  *rank = comm->rank;
  return ncclSuccess;
}

ncclResult_t ncclCommCuDevice(ncclComm_t const, int* device) {
  *device = 0;
  return ncclSuccess;
}

char const* ncclGetErrorString(ncclResult_t result) {
  char const* const texts[] = {"no error",
                               "unhandled cuda error",
                               "unhandled system error",
                               "internal error",
                               "invalid argument",
                               "invalid usage",
                               "remote process exited or there was a network error",
                               "NCCL operation in progress"};
  return result >= 0 && result < ncclNumResults ? texts[result] : "unknown result code";
}

char const* ncclGetLastError(ncclComm_t comm) {
  return comm != nullptr && !comm->text.empty() ? comm->text.c_str() : state().text.c_str();
}

ncclResult_t ncclGroupStart() {
  ++state().depth;
  return ncclSuccess;
}

ncclResult_t ncclGroupEnd() {
  if (state().depth == 0) return refuse(ncclInvalidUsage, "ncclGroupEnd without ncclGroupStart");
  if (--state().depth > 0) return ncclSuccess;
  const ncclResult_t error = state().group_error;
  state().group_error = ncclSuccess;
  if (error == ncclSuccess) return launch_group();
  state().group.clear();
  return error;
}

ncclResult_t ncclSend(void const* from, std::size_t count, ncclDataType_t type, int peer,
                      ncclComm_t comm, cudaStream_t stream) {
  return call("ncclSend", count, type, peer, comm, stream,
              [&](Exchange& e, std::size_t bytes) -> std::string {
                if (!reachable(from, bytes)) return kNoMemory;
                e.sends.push_back(transfer(peer, from, bytes, kSend, type, count));
                return {};
              });
}

ncclResult_t ncclRecv(void* to, std::size_t count, ncclDataType_t type, int peer, ncclComm_t comm,
                      cudaStream_t stream) {
  return call("ncclRecv", count, type, peer, comm, stream,
              [&](Exchange& e, std::size_t bytes) -> std::string {
                if (!reachable(to, bytes)) return kNoMemory;
                e.receives.push_back(transfer(peer, to, bytes, kSend, type, count));
                return {};
              });
}

ncclResult_t ncclAllGather(void const* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclComm_t comm, cudaStream_t stream) {
  return call("ncclAllGather", count, type, 0, comm, stream,
              [&](Exchange& e, std::size_t bytes) -> std::string {
                const auto size = static_cast<std::size_t>(comm->size);
                if (!reachable(from, bytes) || !reachable(to, bytes * size)) return kNoMemory;
                for (int q = 0; q < comm->size; ++q) {
                  char* const at = static_cast<char*>(to) + static_cast<std::size_t>(q) * bytes;
                  e.sends.push_back(transfer(q, from, bytes, kAllGather, type, count));
                  e.receives.push_back(transfer(q, at, bytes, kAllGather, type, count));
                }
                return {};
              });
}

ncclResult_t ncclAllReduce(void const* from, void* to, std::size_t count, ncclDataType_t type,
                           ncclRedOp_t op, ncclComm_t comm, cudaStream_t stream) {
  return call("ncclAllReduce", count, type, 0, comm, stream,
              [&](Exchange& e, std::size_t bytes) -> std::string {
                if (!reachable(from, bytes) || !reachable(to, bytes)) return kNoMemory;
                if (op != ncclSum && op != ncclMax && op != ncclMin) {
                  return "an operation that the emulation has not: it has sum, max and min";
                }
                if (type != ncclInt32 && type != ncclInt64 && type != ncclUint64 &&
                    type != ncclFloat32 && type != ncclFloat64) {
                  return "a type that the emulation does not reduce";
                }
                for (int q = 0; q < comm->size; ++q) {
                  e.sends.push_back(transfer(q, from, bytes, kAllReduce, type, count));
                  Transfer t = transfer(q, to, bytes, kAllReduce, type, count);
                  t.reduces = q > 0;
                  t.op = op;
                  e.receives.push_back(t);
                }
                return {};
              });
}

ncclResult_t ncclBroadcast(void const* from, void* to, std::size_t count, ncclDataType_t type,
                           int root, ncclComm_t comm, cudaStream_t stream) {
  return call("ncclBroadcast", count, type, root, comm, stream,
              [&](Exchange& e, std::size_t bytes) -> std::string {
                const bool sends = comm->rank == root;
                if ((sends && !reachable(from, bytes)) || !reachable(to, bytes)) return kNoMemory;
                for (int q = 0; sends && q < comm->size; ++q) {
                  e.sends.push_back(transfer(q, from, bytes, kBroadcast, type, count));
                }
                e.receives.push_back(transfer(root, to, bytes, kBroadcast, type, count));
                return {};
              });
}

#pragma once
#include <nccl.h>

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "nccl_wire.h"
#include "streams.h"

namespace cuda_host {

/// Bytes of an element, or 0 if there is no such type.
std::size_t size_of(ncclDataType_t type);

/// One call's part in an exchange: what goes to a peer, or what comes from one and is copied to
/// `at` or, with `reduces`, combined with what is there.
struct Transfer {
  int peer;
  char* at;
  std::size_t bytes;
  Envelope envelope;
  bool reduces = false;
  ncclRedOp_t op = ncclSum;
  std::vector<char> sent;  // to find out whether somebody writes to it too early
};

/// What a group of calls of one communicator moves: first it sends, then, when all is here, it
/// receives.
struct Exchange {
  std::vector<Transfer> sends, receives;
  bool first_look = true;
  std::chrono::steady_clock::time_point waits_since;
};

}  // namespace cuda_host

/// Of NVIDIA's header. Kept until the device is reset, as pieces of work know it by address.
struct ncclComm {
  int rank = 0, size = 0;
  std::unique_ptr<cuda_host::Wire> wire;  // null: destroyed or aborted
  std::deque<cuda_host::Exchange> exchanges;
  ncclResult_t error = ncclSuccess;
  std::string text;

  /// Of one that was made with blocking 0: its calls return ncclInProgress, and what they do is
  /// done when the host has looked at it often enough.
  bool blocking = true;
  std::future<std::unique_ptr<cuda_host::Wire>> joining;
  std::atomic<bool> given_up = false;  // what is joining
  std::function<ncclResult_t()> unfinished;
  int looks = 0;

  ~ncclComm() { given_up = true; }
  bool in_progress() const { return joining.valid() || unfinished != nullptr; }
  /// Does `rest` now, or leaves it to the looks of the host.
  ncclResult_t finish(std::function<ncclResult_t()> rest);
  /// A look of the host.
  ncclResult_t look();

  void enqueue(cuda_host::Stream& stream, cuda_host::Exchange exchange);

 private:
  std::string send(cuda_host::Exchange& exchange);
  std::string receive(cuda_host::Exchange& exchange);
  cuda_host::Work::Readiness readiness(cuda_host::Exchange& exchange);
};

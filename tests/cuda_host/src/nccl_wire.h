#pragma once
#include <atomic>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cuda_host {

/// What travels between ranks: what the sender meant by it, to compare with what is expected, and
/// the bytes.
struct Envelope {
  int function = 0, type = 0;  // of nccl.cpp
  std::uint64_t count = 0;     // elements
};
struct Message {
  Envelope envelope;
  std::vector<char> bytes;
};

/// Connections of one rank with all others of its communicator, over sockets of this machine that
/// are named by the unique id. A thread of its own takes in what arrives, so that a rank can always
/// send; it touches no device memory.
class Wire {
 public:
  /// Returns when all ranks are there. Throws std::runtime_error after a minute without one, or
  /// when `given_up` becomes true.
  Wire(std::string const& name, int rank, int size, std::atomic<bool> const& given_up);
  ~Wire();
  Wire(Wire const&) = delete;
  Wire& operator=(Wire const&) = delete;

  void send(int peer, Envelope const& envelope, std::vector<char> bytes);
  /// How many whole messages of a peer are here.
  std::size_t arrived(int peer) const;
  /// The oldest of them.
  Message take(int peer);
  /// True when nothing more will come from a peer. What it sent before is still here.
  bool gone(int peer) const;
  /// The first peer that went without a farewell, or -1.
  int lost() const;
  void say_farewell();

 private:
  struct Header {
    Envelope envelope;
    std::uint64_t bytes;
  };
  struct Peer {
    int socket = -1;
    bool gone = false, said_farewell = false;
    std::vector<char> partial;  // of the next message, its header first
    std::deque<Message> inbox;
  };
  void connect_all(std::string const& name, std::atomic<bool> const& given_up);
  void read_all();
  void take_in(Peer& peer, char const* bytes, std::size_t n);

  int rank_, size_;
  std::vector<Peer> peers_;
  mutable std::mutex mutex_;
  int stop_[2] = {-1, -1};  // a pipe: closing it ends the thread
  std::thread reader_;
};

}  // namespace cuda_host

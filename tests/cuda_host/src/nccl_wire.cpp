#include "nccl_wire.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <stdexcept>

namespace cuda_host {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kTimeout = std::chrono::seconds(60);
constexpr auto kPause = std::chrono::milliseconds(2);

constexpr int kFarewell = -1;  // function of the last message

struct Hello {
  int rank, size;
};

/// A name of no file, which is gone with its socket.
std::pair<sockaddr_un, socklen_t> address_of(std::string const& name, int rank) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string text = name + "." + std::to_string(rank);
  if (text.size() + 1 > sizeof address.sun_path) throw std::runtime_error("the id is no id");
  std::memcpy(address.sun_path + 1, text.data(), text.size());
  return {address, static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + text.size())};
}

bool write_all(int socket, char const* bytes, std::size_t n) {
  while (n > 0) {
    const ssize_t done = ::send(socket, bytes, n, MSG_NOSIGNAL);
    if (done < 0 && errno == EINTR) continue;
    if (done <= 0) return false;
    bytes += done;
    n -= static_cast<std::size_t>(done);
  }
  return true;
}

int open_socket() {
  const int s = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (s < 0) throw std::runtime_error(std::string("socket: ") + std::strerror(errno));
  return s;
}

[[noreturn]] void alone(int rank) {
  throw std::runtime_error("rank " + std::to_string(rank) + " did not come");
}

}  // namespace

Wire::Wire(std::string const& name, int rank, int size, std::atomic<bool> const& given_up)
    : rank_(rank), size_(size), peers_(static_cast<std::size_t>(size)) {
  if (::pipe(stop_) != 0) throw std::runtime_error("no pipe");
  connect_all(name, given_up);
  reader_ = std::thread([this] { read_all(); });
}

Wire::~Wire() {
  ::close(stop_[1]);
  reader_.join();
  ::close(stop_[0]);
  for (Peer const& peer : peers_) {
    if (peer.socket >= 0) ::close(peer.socket);
  }
}

/// Every rank calls those below it and answers those above.
void Wire::connect_all(std::string const& name, std::atomic<bool> const& given_up) {
  const auto end = Clock::now() + kTimeout;
  const int door = open_socket();
  auto [own, own_length] = address_of(name, rank_);
  if (::bind(door, reinterpret_cast<sockaddr*>(&own), own_length) != 0 ||
      ::listen(door, size_) != 0) {
    ::close(door);
    throw std::runtime_error("rank " + std::to_string(rank_) + " is there twice");
  }
  const Hello mine{rank_, size_};
  for (int to = 0; to < rank_; ++to) {
    auto [address, length] = address_of(name, to);
    const int s = open_socket();
    while (::connect(s, reinterpret_cast<sockaddr*>(&address), length) != 0) {
      if (given_up || Clock::now() > end) alone(to);
      std::this_thread::sleep_for(kPause);
    }
    write_all(s, reinterpret_cast<char const*>(&mine), sizeof mine);
    peers_[static_cast<std::size_t>(to)].socket = s;
  }
  for (int missing = size_ - rank_ - 1; missing > 0; --missing) {
    pollfd ready{door, POLLIN, 0};
    while (::poll(&ready, 1, static_cast<int>(kPause.count())) <= 0) {
      if (given_up || Clock::now() > end) alone(rank_ + 1);
    }
    const int s = ::accept4(door, nullptr, nullptr, SOCK_CLOEXEC);
    Hello other{-1, -1};
    if (::recv(s, &other, sizeof other, MSG_WAITALL) != sizeof other || other.rank <= rank_ ||
        other.rank >= size_ || other.size != size_) {
      throw std::runtime_error("rank " + std::to_string(other.rank) + " of " +
                               std::to_string(other.size) + " called rank " +
                               std::to_string(rank_) + " of " + std::to_string(size_));
    }
    peers_[static_cast<std::size_t>(other.rank)].socket = s;
  }
  ::close(door);
}

void Wire::send(int peer, Envelope const& envelope, std::vector<char> bytes) {
  Peer& to = peers_[static_cast<std::size_t>(peer)];
  if (peer == rank_) {
    const std::lock_guard lock(mutex_);
    to.inbox.push_back({envelope, std::move(bytes)});
    return;
  }
  const Header header{envelope, bytes.size()};
  if (write_all(to.socket, reinterpret_cast<char const*>(&header), sizeof header) &&
      write_all(to.socket, bytes.data(), bytes.size())) {
    return;
  }
  const std::lock_guard lock(mutex_);
  to.gone = true;
}

void Wire::say_farewell() {
  for (int peer = 0; peer < size_; ++peer) {
    if (peer != rank_) send(peer, {kFarewell, 0, 0}, {});
  }
}

std::size_t Wire::arrived(int peer) const {
  const std::lock_guard lock(mutex_);
  return peers_[static_cast<std::size_t>(peer)].inbox.size();
}

Message Wire::take(int peer) {
  const std::lock_guard lock(mutex_);
  std::deque<Message>& inbox = peers_[static_cast<std::size_t>(peer)].inbox;
  Message message = std::move(inbox.front());
  inbox.pop_front();
  return message;
}

bool Wire::gone(int peer) const {
  const std::lock_guard lock(mutex_);
  Peer const& p = peers_[static_cast<std::size_t>(peer)];
  return p.gone || p.said_farewell;
}

int Wire::lost() const {
  const std::lock_guard lock(mutex_);
  for (int i = 0; i < size_; ++i) {
    Peer const& peer = peers_[static_cast<std::size_t>(i)];
    if (peer.gone && !peer.said_farewell) return i;
  }
  return -1;
}

void Wire::read_all() {
  std::vector<char> buffer(std::size_t{1} << 16);
  for (;;) {
    std::vector<pollfd> ready{{stop_[0], POLLIN, 0}};
    std::vector<Peer*> of{nullptr};
    {
      const std::lock_guard lock(mutex_);
      for (Peer& peer : peers_) {
        if (peer.socket < 0 || peer.gone) continue;
        ready.push_back({peer.socket, POLLIN, 0});
        of.push_back(&peer);
      }
    }
    if (::poll(ready.data(), ready.size(), -1) < 0 && errno != EINTR) return;
    if (ready[0].revents != 0) return;
    for (std::size_t i = 1; i < ready.size(); ++i) {
      if (ready[i].revents == 0) continue;
      const ssize_t n = ::recv(ready[i].fd, buffer.data(), buffer.size(), 0);
      if (n < 0 && errno == EINTR) continue;
      const std::lock_guard lock(mutex_);
      if (n <= 0) {
        of[i]->gone = true;
      } else {
        take_in(*of[i], buffer.data(), static_cast<std::size_t>(n));
      }
    }
  }
}

void Wire::take_in(Peer& peer, char const* bytes, std::size_t n) {
  peer.partial.insert(peer.partial.end(), bytes, bytes + n);
  std::size_t begin = 0;
  Header header;
  while (peer.partial.size() - begin >= sizeof header) {
    std::memcpy(&header, peer.partial.data() + begin, sizeof header);
    const std::size_t end = begin + sizeof header + header.bytes;
    if (peer.partial.size() < end) break;
    char const* const first = peer.partial.data() + begin + sizeof header;
    begin = end;
    if (header.envelope.function == kFarewell) {
      peer.said_farewell = true;
    } else {
      peer.inbox.push_back({header.envelope, {first, first + header.bytes}});
    }
  }
  peer.partial.erase(peer.partial.begin(),
                     peer.partial.begin() + static_cast<std::ptrdiff_t>(begin));
}

}  // namespace cuda_host

#include "mpi_queue.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <set>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/core/waiting.h"

namespace lomo::mpi {

namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

constexpr std::size_t kLargestMessage = std::size_t{1} << 30;  // MPI counts in int
constexpr milliseconds kTimeout = std::chrono::minutes(10);
// Between looks at messages: first the rest of the time slice, then short naps. Shared memory moves
// about a MiB at a look.
constexpr int kYields = 50;
constexpr microseconds kNap{50};
// MPI may still hold back the end of something small that it reported as sent.
constexpr milliseconds kIdleLook{5};

void check(int code, char const* name) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw Error(Exit::communication, std::string(name) + ": " + text.data());
}

/// The messages of one exchange.
class Messages {
 public:
  explicit Messages(PendingExchange const& exchange) : name_(exchange.name) {
    for (PendingExchange::Receive const& receive : exchange.receives) {
      in_chunks(receive.bytes, [&](std::size_t at, int count) {
        check(MPI_Irecv(receive.to + at, count, MPI_BYTE, receive.from, exchange.tag,
                        MPI_COMM_WORLD, add(receive.from)),
              name_);
      });
    }
    for (PendingExchange::Send const& send : exchange.sends) {
      in_chunks(send.bytes, [&](std::size_t at, int count) {
        check(MPI_Isend(send.from + at, count, MPI_BYTE, send.to, exchange.tag, MPI_COMM_WORLD,
                        add(send.to)),
              name_);
      });
    }
  }
  bool all_done() {
    int done = 0;
    const auto count = static_cast<int>(requests_.size());
    statuses_.resize(requests_.size());
    const int code = MPI_Testall(count, requests_.data(), &done, statuses_.data());
    if (code == MPI_ERR_IN_STATUS) refuse_message();
    check(code, name_);
    return done != 0;
  }
  /// Ranks that owe a message or have not taken theirs.
  std::set<int> missing() {
    std::set<int> ranks;
    for (std::size_t i = 0; i < requests_.size(); ++i) {
      int done = 0;
      check(MPI_Test(&requests_[i], &done, MPI_STATUS_IGNORE), name_);
      if (done == 0) ranks.insert(peers_[i]);
    }
    return ranks;
  }

 private:
  template <class F>
  static void in_chunks(std::size_t bytes, F&& f) {
    for (std::size_t at = 0; at < bytes; at += kLargestMessage) {
      f(at, static_cast<int>(std::min(kLargestMessage, bytes - at)));
    }
  }
  MPI_Request* add(int peer) {
    peers_.push_back(peer);
    return &requests_.emplace_back(MPI_REQUEST_NULL);
  }

  [[noreturn]] void refuse_message() const {
    for (std::size_t i = 0; i < statuses_.size(); ++i) {
      if (statuses_[i].MPI_ERROR == MPI_SUCCESS || statuses_[i].MPI_ERROR == MPI_ERR_PENDING)
        continue;
      throw Error(Exit::communication,
                  std::string(name_) + ": rank " + std::to_string(peers_[i]) +
                      " sent something else than is expected here: the ranks are out of step");
    }
    throw Error(Exit::communication, std::string(name_) + ": a message was lost");
  }

  char const* name_;
  std::vector<MPI_Request> requests_;
  std::vector<MPI_Status> statuses_;
  std::vector<int> peers_;
};

}  // namespace

MpiQueue::MpiQueue() : timeout_(kTimeout), thread_([this] { run(); }) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return started_ || !failure_.empty(); });
  if (failure_.empty()) return;
  lock.unlock();
  thread_.join();
  throw Error(Exit::communication, failure_);
}

MpiQueue::~MpiQueue() {
  {
    const std::lock_guard lock(mutex_);
    ending_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void MpiQueue::set_timeout(Milliseconds timeout) {
  const std::lock_guard lock(mutex_);
  timeout_ = timeout;
}

MpiQueue::Fence MpiQueue::issue(PendingExchange exchange) {
  const std::lock_guard lock(mutex_);
  waiting_.push_back(std::move(exchange));
  changed_.notify_all();
  return ++issued_;
}

void MpiQueue::wait(Fence fence) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return finished_ >= fence || !failure_.empty(); });
  if (finished_ < fence) throw Error(Exit::communication, failure_);
}

bool MpiQueue::finish_or_give_up(Fence fence, Milliseconds timeout) {
  std::unique_lock lock(mutex_);
  const auto over = [&] { return finished_ >= fence || !failure_.empty(); };
  if (!changed_.wait_for(lock, timeout, over)) {
    giving_up_ = true;
    changed_.wait(lock, over);
  }
  return finished_ >= fence;
}

void MpiQueue::end_others(int code) {
  {
    const std::lock_guard lock(mutex_);
    giving_up_ = true;
    abort_code_ = code;
  }
  changed_.notify_all();
  std::this_thread::sleep_for(std::chrono::seconds(5));  // not to be reached
}

void MpiQueue::run() {
  try {
    start_mpi();
    serve();
  } catch (std::exception const& error) {  // nothing may leave a thread
    std::unique_lock lock(mutex_);
    failure_ = error.what();
    waiting_.clear();
    changed_.notify_all();
    if (!started_) return;
    changed_.wait(lock, [this] { return ending_ || abort_code_ >= 0; });
  }
  if (abort_code_ >= 0) MPI_Abort(MPI_COMM_WORLD, abort_code_);
}

void MpiQueue::start_mpi() {
  int provided = 0;
  MPI_Init_thread(nullptr, nullptr, MPI_THREAD_FUNNELED, &provided);
  if (provided < MPI_THREAD_FUNNELED) {
    throw Error(Exit::communication, "this MPI cannot be used by a program with threads");
  }
  MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
  MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
  MPI_Comm_size(MPI_COMM_WORLD, &size_);
  MPI_Comm machine = MPI_COMM_NULL;
  check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &machine),
        "start");
  MPI_Comm_rank(machine, &local_rank_);
  MPI_Comm_size(machine, &local_size_);
  machine_ = rank_;
  check(MPI_Bcast(&machine_, 1, MPI_INT, 0, machine), "start");
  MPI_Comm_free(&machine);
  std::vector<char> names(static_cast<std::size_t>(size_) * MPI_MAX_PROCESSOR_NAME);
  std::array<char, MPI_MAX_PROCESSOR_NAME> name{};
  int length = 0;
  MPI_Get_processor_name(name.data(), &length);
  check(MPI_Allgather(name.data(), MPI_MAX_PROCESSOR_NAME, MPI_CHAR, names.data(),
                      MPI_MAX_PROCESSOR_NAME, MPI_CHAR, MPI_COMM_WORLD),
        "start");
  for (std::size_t at = 0; at < names.size(); at += MPI_MAX_PROCESSOR_NAME) {
    names_.emplace_back(names.data() + at);
  }
  const std::lock_guard lock(mutex_);
  started_ = true;
  changed_.notify_all();
}

void MpiQueue::serve() {
  for (;;) {
    PendingExchange exchange;
    {
      std::unique_lock lock(mutex_);
      const auto something = [this] { return !waiting_.empty() || ending_ || abort_code_ >= 0; };
      while (!changed_.wait_for(lock, kIdleLook, something)) {
        int arrived = 0;
        MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, MPI_COMM_WORLD, &arrived, MPI_STATUS_IGNORE);
      }
      if (abort_code_ >= 0) return;
      if (waiting_.empty()) break;
      exchange = std::move(waiting_.front());
      waiting_.pop_front();
    }
    if (exchange.event != nullptr) exchange.event->begin = EventLog::Clock::now();
    carry_out(exchange);
    if (exchange.event != nullptr) exchange.event->end = EventLog::Clock::now();
    const std::lock_guard lock(mutex_);
    ++finished_;
    changed_.notify_all();
  }
  MPI_Finalize();
}

void MpiQueue::carry_out(PendingExchange const& exchange) {
  WaitingTime waiting;
  Messages messages(exchange);
  if (exchange.keep.bytes > 0 && exchange.keep.to != exchange.keep.from) {
    std::memcpy(exchange.keep.to, exchange.keep.from, exchange.keep.bytes);
  }
  Milliseconds timeout{};
  {
    const std::lock_guard lock(mutex_);
    timeout = timeout_;
  }
  for (int looks = 0; !messages.all_done(); ++looks) {
    if (looks < kYields) {
      std::this_thread::yield();
      continue;
    }
    std::this_thread::sleep_for(kNap);
    if (given_up()) throw Error(Exit::communication, std::string(exchange.name) + ": given up");
    if (waiting.look() < timeout) continue;
    std::string who;
    for (const int rank : messages.missing()) who += (who.empty() ? "" : ", ") + name_of(rank);
    if (who.empty()) continue;  // the last message came just now
    throw Error(
        Exit::communication,
        std::string(exchange.name) + ": no answer from " + who + " within " +
            std::to_string(std::chrono::duration_cast<std::chrono::seconds>(timeout).count()) +
            " s. Its process or machine hangs, or is much slower than this one");
  }
}

bool MpiQueue::given_up() {
  const std::lock_guard lock(mutex_);
  return giving_up_;
}

std::string MpiQueue::name_of(int rank) const {
  std::string name = "rank " + std::to_string(rank);
  if (local_size_ < size_) name += " on " + names_[static_cast<std::size_t>(rank)];
  return name;
}

}  // namespace lomo::mpi

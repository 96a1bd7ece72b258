#include "watcher.h"

#include <algorithm>
#include <utility>

#include "block.h"
#include "memory.h"

namespace cuda_host {
namespace {

constexpr std::size_t kGranule = 2;  // bytes: the smallest element there is
constexpr std::uintptr_t kSector = 32;

}  // namespace

Watcher& watcher() {
  static Watcher the_watcher;
  return the_watcher;
}

std::vector<Traffic> traffic() {
  return watcher().traffic().totals();
}

void Watcher::access(Access const& access) {
  if (busy_ || !runner().running()) return;
  busy_ = true;
  const int thread = runner().current().number;
  SharedMemory const& shared = runner().shared();
  if (shared.contains(access.p, access.bytes)) {
    traffic_.add(thread, Space::shared, access);
    fail_if(races_.access(thread, shared.offset_of(access.p), access));
  } else if (is_device_address(access.p)) {
    traffic_.add(thread, Space::global, access);
  }  // else the stack: registers, or parameters
  busy_ = false;
}

void Watcher::copy(Access const& to, void const* from, bool done) {
  busy_ = true;
  const int thread = runner().current().number;
  if (!done) {
    traffic_.add(thread, Space::shared, to);
    if (from != nullptr) traffic_.add(thread, Space::global, {from, to.bytes, false, to.at});
  }
  fail_if(races_.copy(thread, runner().shared().offset_of(to.p), to, done));
  busy_ = false;
}

void Watcher::begin_block() {
  races_.begin_block();
  traffic_.block_met();
}

void Watcher::warp_met(int warp, bool fence) {
  if (fence) races_.warp_fenced(warp);
  traffic_.warp_met(warp);
}

void Watcher::block_met() {
  races_.block_met();
  traffic_.block_met();
}

void Watcher::fail_if(std::string race) {
  if (race.empty()) return;
  race_ = std::move(race);
  busy_ = false;
  runner().fail(race_);
}

// --- Races
// -----------------------------------------------------------------------------------------

RaceDetector::RaceDetector() : granules_(SharedMemory::kReserved / kGranule) {}

std::string RaceDetector::clash(Granule const& g, int thread, Access const& access) const {
  const auto warp = static_cast<std::int16_t>(thread / kLanes);
  const std::uint64_t fence = fences_[static_cast<std::size_t>(warp)];
  void const* other = nullptr;
  char const* what = "";
  if (g.copied == block_) {
    other = g.writer_at;
    what = "a cp.async to it that is under way";
  } else if (g.written == interval_ && g.writer != thread &&
             (g.writer / kLanes != warp || g.write_fence == fence)) {
    other = g.writer_at;
    what = "a store by another thread";
  } else if (access.store && g.read == interval_ && g.reader != thread &&
             (g.reader == kBlock || g.reader_warp != warp || g.read_fence == fence)) {
    other = g.reader_at;
    what = "a load by another thread";
  }
  if (other == nullptr) return {};
  const std::vector<std::string> places = places_of({access.at, other});
  return std::string("race: a ") + (access.store ? "store to" : "load from") +
         " shared memory at " + places[0] + " and " + what + " at " + places[1] +
         " with no barrier between";
}

std::string RaceDetector::access(int thread, std::size_t offset, Access const& access) {
  const auto warp = static_cast<std::int16_t>(thread / kLanes);
  const std::uint64_t fence = fences_[static_cast<std::size_t>(warp)];
  const std::size_t end = offset + access.bytes;
  for (std::size_t i = offset / kGranule; i * kGranule < end; ++i) {
    Granule& g = granules_[i];
    std::string text = clash(g, thread, access);
    if (!text.empty()) return text;
    if (access.store) {
      g.written = interval_;
      g.write_fence = fence;
      g.writer = static_cast<std::int16_t>(thread);
      g.writer_at = access.at;
      continue;
    }
    // Of loads since the last barrier: who, as far as a later store has to know.
    if (g.read != interval_ ||
        (g.reader != kBlock && g.reader_warp == warp && g.read_fence != fence)) {
      g.reader = static_cast<std::int16_t>(thread);
    } else if (g.reader != kBlock && g.reader_warp != warp) {
      g.reader = kBlock;
    } else if (g.reader != kBlock && g.reader != thread) {
      g.reader = kWarp;
    }
    g.read = interval_;
    g.read_fence = fence;
    g.reader_warp = warp;
    g.reader_at = access.at;
  }
  return {};
}

std::string RaceDetector::copy(int thread, std::size_t offset, Access const& to, bool done) {
  const std::size_t first = offset / kGranule, end = first + to.bytes / kGranule;
  if (done) {
    for (std::size_t i = first; i < end; ++i) granules_[i].copied = 0;
  }
  std::string text = access(thread, offset, to);
  if (!done) {
    for (std::size_t i = first; i < end; ++i) granules_[i].copied = block_;
  }
  return text;
}

// --- Traffic
// ---------------------------------------------------------------------------------------

std::size_t TrafficCounter::Hash::operator()(Instruction const& i) const {
  const auto at = reinterpret_cast<std::uintptr_t>(i.at);
  return (at << 8) ^ static_cast<std::size_t>(i.bytes << 2 | (i.store ? 2 : 0) |
                                              (i.space == Space::shared ? 1 : 0));
}

void TrafficCounter::add(int thread, Space space, Access const& access) {
  const auto warp = static_cast<std::size_t>(thread / kLanes);
  const auto lane = static_cast<std::size_t>(thread % kLanes);
  const Instruction key{access.at, space, access.store, static_cast<int>(access.bytes)};
  Executions& e = of_warp_[warp][key];
  if (e.total == nullptr) {
    e.total = &totals_[key];
    e.total->space = space;
    e.total->store = access.store;
    e.total->bytes = key.bytes;
  }
  if (e.open == 0) open_[warp].push_back(&e);
  const std::uint32_t time = e.done[lane]++;
  if (time == e.times.size()) e.times.emplace_back();
  if (time == e.open) {
    e.times[e.open++].lanes = 0;
  }
  e.times[time].lanes |= 1u << lane;
  e.times[time].address[lane] = reinterpret_cast<std::uintptr_t>(access.p);
}

/// Distinct pieces of `size` bytes that the lanes [first, end) touch, in order.
std::vector<std::uintptr_t> TrafficCounter::pieces(Execution const& e, int bytes,
                                                   std::uintptr_t size, int first, int end) {
  std::vector<std::uintptr_t> all;
  for (int lane = first; lane < end; ++lane) {
    if ((e.lanes >> lane & 1) == 0) continue;
    const std::uintptr_t from = e.address[static_cast<std::size_t>(lane)];
    const std::uintptr_t last = (from + static_cast<std::uintptr_t>(bytes) - 1) / size;
    for (std::uintptr_t piece = from / size; piece <= last; ++piece) all.push_back(piece);
  }
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  return all;
}

void TrafficCounter::count(Traffic& total, Execution const& e) {
  ++total.warps;
  if (total.space == Space::global) {
    const auto distinct = pieces(e, total.bytes, 1, 0, kLanes).size();
    total.touched += pieces(e, total.bytes, kSector, 0, kLanes).size();
    total.needed += (distinct + kSector - 1) / kSector;
    return;
  }
  // 128 bytes go at a time: all lanes of 4 bytes, half a warp of 8, a quarter of 16. A pass serves
  // one word of each bank, to any number of lanes.
  const int together = total.bytes <= 4 ? 32 : total.bytes <= 8 ? 16 : 8;
  for (int first = 0; first < kLanes; first += together) {
    const auto words = pieces(e, total.bytes, 4, first, first + together);
    if (words.empty()) continue;
    std::array<std::uint64_t, 32> of_bank{};
    for (const std::uintptr_t word : words) ++of_bank[word % 32];
    total.touched += *std::max_element(of_bank.begin(), of_bank.end());
    total.needed += (words.size() + 31) / 32;
  }
}

void TrafficCounter::warp_met(int warp) {
  for (Executions* const e : open_[static_cast<std::size_t>(warp)]) {
    for (std::uint32_t i = 0; i < e->open; ++i) count(*e->total, e->times[i]);
    e->open = 0;
    e->done.fill(0);
  }
  open_[static_cast<std::size_t>(warp)].clear();
}

void TrafficCounter::block_met() {
  for (int warp = 0; warp < kMaxThreads / kLanes; ++warp) warp_met(warp);
}

std::vector<Traffic> TrafficCounter::totals() {
  block_met();  // the last block's
  std::vector<void const*> addresses;
  std::vector<Traffic> all;
  for (auto const& [instruction, total] : totals_) {
    addresses.push_back(instruction.at);
    all.push_back(total);
  }
  const std::vector<std::string> places = places_of(addresses);
  for (std::size_t i = 0; i < all.size(); ++i) all[i].where = places[i];
  std::sort(all.begin(), all.end(),
            [](Traffic const& a, Traffic const& b) { return a.where < b.where; });
  return all;
}

void TrafficCounter::clear() {
  for (auto& executions : of_warp_) executions.clear();
  for (auto& open : open_) open.clear();
  totals_.clear();
}

}  // namespace cuda_host

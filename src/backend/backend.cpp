#include "lomo/backend/backend.h"

#include <array>

#include "checks.h"
#include "cost.h"
#include "lomo/backend/communicator.h"
#include "lomo/backend/event_log.h"
#include "lomo/core/error.h"

// Memory and streams. The other families are in *_ops.cpp: one file an op family.
namespace lomo {
namespace {

constexpr std::array kEverything = {DType::f32, DType::bf16, DType::f16, DType::i32, DType::f64};

void require_bytes(Check const& check, std::string_view name, std::size_t host, Tensor t) {
  if (host == t.bytes()) return;
  check.fail(std::to_string(host) + " bytes of host memory do not match " + std::string(name) +
             " " + t.shape().str() + " of " + std::to_string(t.bytes()) + " bytes");
}

}  // namespace

Backend::Backend(Device device) : device_(device) {}
Backend::~Backend() = default;

Buffer Backend::allocate(Shape shape, DType dtype, Category category, std::string_view what) {
  return slab_->allocate(shape, dtype, category, what);
}

void Backend::synchronize() {
  do_synchronize();
  if (!on_side_stream_) slab_->free_deferred(waited_for_ = issued_);
}

Backend::SideStream::SideStream(Backend& backend) : backend_(backend) {
  if (backend.on_side_stream_) throw Error("SideStream: within another one");
  fence_ = ++backend.issued_;
  backend.on_side_stream_ = true;
  if (backend.streams() == 1) return;
  try {
    backend.do_enter_side_stream(fence_);
  } catch (...) {
    backend.on_side_stream_ = false;
    throw;
  }
  backend.slab_->defer_free(fence_);
  if (EventLog* const log = backend.ledger_.event_log()) log->enter_side_stream(fence_);
}

Backend::SideStream::~SideStream() {
  if (!inside_) return;
  try {
    leave();
  } catch (std::exception const&) {
  }
}

void Backend::SideStream::leave() {
  inside_ = false;
  backend_.on_side_stream_ = false;
  if (backend_.streams() == 1) return;
  backend_.slab_->defer_free(0);
  if (EventLog* const log = backend_.ledger_.event_log()) log->leave_side_stream(fence_);
  backend_.do_leave_side_stream(fence_);
}

Backend::Fence Backend::on_side_stream(std::function<void()> const& issue) {
  SideStream stream(*this);
  issue();
  stream.leave();
  return stream.fence();
}

void Backend::wait(Fence fence) {
  if (on_side_stream_) throw Error("wait: within the side stream, which waits for itself");
  if (fence > issued_) throw Error("wait: for work that was not issued");
  if (fence <= waited_for_) return;
  if (streams() > 1) {
    EventLog* const log = ledger_.event_log();
    EventLog::Event* const event =
        log == nullptr ? nullptr : &log->wait(EventLog::Kind::join, fence);
    if (event != nullptr) note_begin(*event);
    do_wait(fence);
    if (event != nullptr) note_end(*event);
  }
  slab_->free_deferred(waited_for_ = fence);
}

Buffer Backend::workspace_of(std::string_view op, std::size_t bytes) {
  const auto floats = static_cast<std::int64_t>((bytes + sizeof(float) - 1) / sizeof(float));
  return slab_->allocate(Shape(floats), DType::f32, Category::workspace,
                         "workspace of " + std::string(op));
}

void Backend::set_event_log(EventLog* log) {
  synchronize();
  if (ledger_.event_log() != nullptr) finish_clock();
  ledger_.event_log_ = log;
  if (log != nullptr) start_clock();
}

Backend::Operation::Operation(Backend& backend, std::string_view name, Cost cost)
    : backend_(backend) {
  backend.ledger_.record(name, cost);
  EventLog* const log = backend.ledger_.event_log();
  if (log == nullptr) return;
  event_ = &log->operation(name, cost);
  backend.note_begin(*event_);
}

void Backend::upload(Tensor dst, std::span<std::byte const> src) {
  const Check check("upload", device_);
  check.any({"dst", dst}, kEverything);
  require_bytes(check, "dst", src.size(), dst);
  const Operation op(*this, "upload", cost::move({dst}));
  if (dst.numel() > 0) do_upload(dst, src);
}

void Backend::download(std::span<std::byte> dst, Tensor src) {
  const Check check("download", device_);
  check.any({"src", src}, kEverything);
  require_bytes(check, "src", dst.size(), src);
  const Operation op(*this, "download", cost::move({src}));
  if (src.numel() > 0) do_download(dst, src);
}

void Backend::copy(Tensor dst, Tensor src) {
  const Check check("copy", device_);
  check.any({"dst", dst}, kEverything);
  check.any({"src", src}, kEverything);
  check.same_shape({"dst", dst}, {"src", src});
  if (dst.dtype() == DType::i32 || src.dtype() == DType::i32) {
    check.same_type({"dst", dst}, {"src", src});
  }
  const Operation op(*this, "copy", cost::move({dst, src}));
  if (dst.numel() > 0) do_copy(dst, src);
}

void Backend::zero(Tensor x) {
  Check("zero", device_).any({"x", x}, kEverything);
  const Operation op(*this, "zero", cost::move({x}));
  if (x.numel() > 0) do_zero(x);
}

}  // namespace lomo

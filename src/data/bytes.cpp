#include "bytes.h"

#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <system_error>
#include <utility>

#include "formats.h"
#include "lomo/core/error.h"
#include "lomo/io/json.h"

namespace lomo {

namespace {

constexpr std::size_t kPiece = std::size_t{1} << 18;
constexpr std::size_t kNames = 1000;  // of a folder, looked at for the nearest
constexpr std::string_view kGzip = "\x1f\x8b";

/// What a path that leads nowhere was probably meant to be.
std::string nearest_file(std::filesystem::path const& file) {
  std::error_code error;
  std::vector<std::string> names;
  const std::filesystem::path folder = file.has_parent_path() ? file.parent_path() : ".";
  if (!std::filesystem::is_directory(folder, error)) {
    return "there is no folder " + folder.string();
  }
  for (auto const& entry : std::filesystem::directory_iterator(folder, error)) {
    if (names.size() == kNames) break;
    names.push_back(entry.path().filename().string());
  }
  const std::string nearest = nearest_word(file.filename().string(), names);
  if (nearest.empty()) return "is the path right?";
  return "did you mean " + (file.parent_path() / nearest).string() + "?";
}

}  // namespace

std::filesystem::path without_gz(std::filesystem::path const& file) {
  return file.extension() == ".gz" ? std::filesystem::path(file).replace_extension() : file;
}

/// zlib over one gzip member after the other.
struct Bytes::Inflater {
  explicit Inflater(std::string_view start) : rest(start), out(kPiece) {
    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK) throw Error("zlib cannot be started");
  }
  ~Inflater() { inflateEnd(&stream); }
  Inflater(Inflater const&) = delete;
  Inflater& operator=(Inflater const&) = delete;

  z_stream stream{};
  std::string_view rest;  // read and not yet decompressed
  std::vector<char> out;
  bool within = true;  // a member that has not ended
};

Bytes::Bytes(std::filesystem::path const& file) : file_(file), raw_(kPiece) {
  std::error_code error;
  if (std::filesystem::is_directory(file, error)) {
    throw Error(Exit::data, file.string() + ": is a folder; name the files in it");
  }
  descriptor_ = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor_ < 0) {
    const int reason = errno;
    throw Error(Exit::data, file.string() + ": cannot be opened; " +
                                (reason == ENOENT ? nearest_file(file) : std::strerror(reason)));
  }
  const auto bytes = std::filesystem::file_size(file, error);
  size_ = error ? 0 : static_cast<double>(bytes);
}

Bytes::~Bytes() {
  if (descriptor_ >= 0) close(descriptor_);
}

std::string_view Bytes::read() {
  std::size_t count = 0;
  // The first piece is read whole, so that what the file is can be seen in it.
  while (count < raw_.size()) {
    const ssize_t got = ::read(descriptor_, raw_.data() + count, raw_.size() - count);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) {
      throw Error(Exit::data, file_.string() + ": reading failed: " + std::strerror(errno));
    }
    count += static_cast<std::size_t>(got);
    if (got == 0 || taken_ > 0 || count >= kGzip.size()) break;
  }
  taken_ += count;
  return {raw_.data(), count};
}

void Bytes::refuse_foreign(std::string_view start) const {
  const std::string what = foreign_bytes(start, file_);
  if (!what.empty()) throw Error(Exit::data, file_.string() + ": " + what);
}

std::string_view Bytes::next() {
  const bool first = taken_ == 0;
  if (!inflater_) {
    const std::string_view piece = read();
    if (first && piece.starts_with(kGzip)) {
      inflater_ = std::make_unique<Inflater>(piece);
    } else {
      if (first) refuse_foreign(piece);
      return piece;
    }
  }
  const std::string_view piece = decompressed(*inflater_);
  if (first) refuse_foreign(piece);
  return piece;
}

std::string_view Bytes::decompressed(Inflater& gzip) {
  while (true) {
    if (gzip.rest.empty()) gzip.rest = read();
    if (gzip.rest.empty()) {
      if (!gzip.within) return {};
      throw Error(Exit::data, file_.string() +
                                  ": the gzip file ends in the middle; was it written or "
                                  "downloaded whole?");
    }
    if (!gzip.within) {
      // Members follow each other; some programs fill up with zeros behind the last.
      if (gzip.rest.find_first_not_of('\0') == std::string_view::npos) {
        gzip.rest = {};
        continue;
      }
      inflateReset(&gzip.stream);
      gzip.within = true;
    }
    gzip.stream.next_in =
        reinterpret_cast<Bytef*>(const_cast<char*>(gzip.rest.data()));  // zlib's way to say const
    gzip.stream.avail_in = static_cast<uInt>(gzip.rest.size());
    gzip.stream.next_out = reinterpret_cast<Bytef*>(gzip.out.data());
    gzip.stream.avail_out = static_cast<uInt>(gzip.out.size());
    const int status = inflate(&gzip.stream, Z_NO_FLUSH);
    gzip.rest = gzip.rest.substr(gzip.rest.size() - gzip.stream.avail_in);
    if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR) {
      char const* const why = gzip.stream.msg;
      throw Error(Exit::data, file_.string() + ": the gzip file is damaged" +
                                  (why == nullptr ? "" : " (" + std::string(why) + ")") +
                                  "; fetch or write it again, gzip -t checks it");
    }
    gzip.within = status != Z_STREAM_END;
    const std::size_t count = gzip.out.size() - gzip.stream.avail_out;
    if (count > 0) return {gzip.out.data(), count};
  }
}

}  // namespace lomo

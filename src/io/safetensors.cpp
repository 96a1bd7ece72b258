#include "lomo/io/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <optional>
#include <utility>

#include "lomo/core/text.h"
#include "lomo/io/json.h"

namespace lomo {

static_assert(std::endian::native == std::endian::little, "safetensors are little-endian");

namespace {

// A 70B model's header takes 80 KB; the format allows 100 MB, which only a hostile file needs.
constexpr std::uint64_t kLargestHeader = 16u << 20;
constexpr std::size_t kMaxDimensions = 8;
constexpr std::size_t kPrefix = 8;

constexpr std::pair<std::string_view, DType> kDTypes[] = {{"F32", DType::f32},
                                                          {"BF16", DType::bf16},
                                                          {"F16", DType::f16},
                                                          {"I32", DType::i32},
                                                          {"F64", DType::f64}};

/// Bytes of a tensor; nothing when they do not fit 63 bits.
std::optional<std::uint64_t> byte_count(DType dtype, std::vector<std::int64_t> const& shape) {
  std::uint64_t total = size_of(dtype);
  for (const std::int64_t extent : shape) {
    if (__builtin_mul_overflow(total, static_cast<std::uint64_t>(extent), &total)) {
      return std::nullopt;
    }
  }
  if (total > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
    return std::nullopt;
  }
  return total;
}

SafetensorsEntry read_entry(std::string const& name, Json const& json, std::string const& where,
                            std::uint64_t payload) {
  JsonReader reader(json, where, Exit::data, "tensor \"" + name + "\"");
  SafetensorsEntry entry;
  entry.name = name;
  for (char const* key : {"dtype", "shape", "data_offsets"}) reader.require(key);
  std::string dtype;
  reader.get("dtype", dtype);
  const auto known = std::find_if(std::begin(kDTypes), std::end(kDTypes),
                                  [&](auto const& item) { return item.first == dtype; });
  entry.type = dtype;
  entry.readable = known != std::end(kDTypes);
  if (entry.readable) entry.dtype = known->second;
  reader.get("shape", entry.shape, Range<std::int64_t>{.minimum = 0});
  if (entry.shape.size() > kMaxDimensions) reader.fail("shape", "has too many dimensions");
  std::vector<std::int64_t> offsets;
  reader.get("data_offsets", offsets, Range<std::int64_t>{.minimum = 0});
  reader.finish();
  if (offsets.size() != 2 || offsets[0] > offsets[1]) {
    reader.fail("data_offsets", "must be [begin, end] with begin <= end");
  }
  const auto begin = static_cast<std::uint64_t>(offsets[0]);
  const auto end = static_cast<std::uint64_t>(offsets[1]);
  if (end > payload) {
    reader.fail("data_offsets", "ends at byte " + std::to_string(end) + " of a payload of " +
                                    std::to_string(payload) +
                                    "; the file is cut short: copy or download it again");
  }
  const auto bytes =
      entry.readable ? byte_count(entry.dtype, entry.shape) : std::optional(end - begin);
  if (!bytes || *bytes != end - begin) {
    reader.fail("data_offsets", "spans " + std::to_string(end - begin) + " bytes, which is not a " +
                                    dtype + " tensor of shape " + entry.shape_text());
  }
  entry.offset = begin;
  entry.bytes = *bytes;
  return entry;
}

}  // namespace

std::int64_t SafetensorsEntry::numel() const {
  return static_cast<std::int64_t>(bytes / size_of(dtype));
}

std::string SafetensorsEntry::shape_text() const {
  std::string text = "(";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + ")";
}

std::string_view safetensors_name(DType dtype) {
  for (auto const& [name, type] : kDTypes) {
    if (type == dtype) return name;
  }
  return "?";
}

SafetensorsFile::SafetensorsFile(std::filesystem::path const& path) : file_(path, Exit::data) {
  const std::string where = path.string();
  const auto refuse = [&](std::string const& message) {
    throw Error(Exit::data, where + ": not a whole safetensors file: " + message);
  };
  const auto bytes = [](std::uint64_t n) { return counted(static_cast<std::int64_t>(n), "byte"); };
  if (file_.size() < kPrefix + 2) refuse("it has only " + bytes(file_.size()));
  std::array<std::byte, kPrefix> prefix{};
  file_.read(0, prefix);
  const std::string_view begins(reinterpret_cast<char const*>(prefix.data()), prefix.size());
  if (begins.starts_with("version ")) {
    throw Error(Exit::data, where +
                                ": a pointer of git-lfs, not the file itself; fetch it with "
                                "git lfs pull, or download it");
  }
  if (begins.starts_with("<!") || begins.starts_with("<html")) {
    throw Error(Exit::data, where + ": a web page saved under this name; download the file itself");
  }
  if (begins.starts_with("GGUF")) {
    throw Error(Exit::data, where +
                                ": a GGUF file, which is for inference; use the model's "
                                "safetensors");
  }
  const auto header_bytes = std::bit_cast<std::uint64_t>(prefix);
  if (header_bytes > kLargestHeader) {
    refuse("its header would take " + std::to_string(header_bytes) + " bytes, above the limit of " +
           std::to_string(kLargestHeader));
  }
  if (header_bytes > file_.size() - kPrefix) {
    refuse("its header should take " + std::to_string(header_bytes) + " bytes, but only " +
           std::to_string(file_.size() - kPrefix) + " are there; copy or download it again");
  }
  std::string header(header_bytes, '\0');
  file_.read(kPrefix, std::as_writable_bytes(std::span(header)));
  if (!header.starts_with('{')) refuse("its header does not start with {");
  const Json json = parse_json(header, where + " header", Exit::data);
  const std::uint64_t start = kPrefix + header_bytes;
  const std::uint64_t payload = file_.size() - start;

  for (auto const& [name, value] : json.items()) {
    if (name == "__metadata__") {
      const JsonReader reader(value, where, Exit::data, "__metadata__");
      for (auto const& [key, text] : value.items()) {
        if (!text.is_string()) reader.fail(key, "expected text in quotes");
        metadata_[key] = text.get<std::string>();
      }
    } else {
      entries_.push_back(read_entry(name, value, where, payload));
    }
  }
  std::sort(entries_.begin(), entries_.end(), [](auto const& a, auto const& b) {
    return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
  });
  std::uint64_t end = 0;
  for (SafetensorsEntry& entry : entries_) {
    if (entry.offset != end) {
      refuse("tensor \"" + entry.name + "\" begins at byte " + std::to_string(entry.offset) +
             " of the payload, but the one before it ends at " + std::to_string(end));
    }
    end += entry.bytes;
    entry.offset += start;
  }
  if (end != payload) {
    refuse("at its end it has " + bytes(payload - end) + " of no tensor");
  }
  for (std::size_t i = 0; i < entries_.size(); ++i) by_name_.emplace(entries_[i].name, i);
}

SafetensorsEntry const* SafetensorsFile::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() || !entries_[it->second].readable ? nullptr : &entries_[it->second];
}

void SafetensorsFile::read(SafetensorsEntry const& entry, std::uint64_t offset,
                           std::span<std::byte> into) const {
  if (offset > entry.bytes || into.size() > entry.bytes - offset) {
    throw Error("read past the end of tensor \"" + entry.name + "\"");
  }
  file_.read(entry.offset + offset, into);
}

SafetensorsWriter::SafetensorsWriter(std::filesystem::path const& path,
                                     std::vector<Tensor> const& tensors,
                                     std::map<std::string, std::string> const& metadata)
    : file_(path), name_(path.string()) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  for (Tensor const& tensor : tensors) {
    const auto bytes = byte_count(tensor.dtype, tensor.shape);
    if (!bytes || header.contains(tensor.name)) {
      throw Error(name_ + ": tensor \"" + tensor.name + "\" is too large or there twice");
    }
    tensors_.push_back({payload_, payload_ + *bytes});
    payload_ += *bytes;
    header[tensor.name] = {{"dtype", safetensors_name(tensor.dtype)},
                           {"shape", tensor.shape},
                           {"data_offsets", {tensors_.back().begin, tensors_.back().end}}};
  }
  std::string text = header.dump();
  text.resize((text.size() + kPrefix - 1) / kPrefix * kPrefix, ' ');  // the payload is aligned
  const auto prefix = std::bit_cast<std::array<char, kPrefix>>(std::uint64_t{text.size()});
  header_ = std::string(prefix.data(), prefix.size()) + text;
}

void SafetensorsWriter::create() {
  file_.create(header_.size() + payload_);
  file_.write(0, std::as_bytes(std::span(header_)));
}

void SafetensorsWriter::write(std::size_t index, std::uint64_t offset,
                              std::span<std::byte const> bytes) {
  auto const& [begin, end] = tensors_.at(index);
  if (offset > end - begin || bytes.size() > end - begin - offset) {
    throw Error(name_ + ": more bytes for a tensor than it has");
  }
  file_.write(header_.size() + begin + offset, bytes);
}

}  // namespace lomo

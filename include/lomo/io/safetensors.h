#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/core/dtype.h"
#include "lomo/io/files.h"

/// The safetensors format: 8 bytes little-endian header length, a JSON header
///   {"__metadata__": {text: text}, name: {"dtype", "shape", "data_offsets": [begin, end]}, ...},
/// then the tensors' bytes, row-major, little-endian, without gaps or overlap.
namespace lomo {

struct SafetensorsEntry {
  std::string name;
  std::string type;          // as the file has it: "F32", "I64", "F8_E4M3"
  DType dtype = DType::f32;  // of the types that are read; see `readable`
  bool readable = true;      // else the tensor is of another type
  std::vector<std::int64_t> shape;
  std::uint64_t offset = 0;  // of the first byte in the file
  std::uint64_t bytes = 0;

  std::int64_t numel() const;
  /// "(32000, 4096)".
  std::string shape_text() const;
};

/// "F32", "BF16", ... as safetensors write it.
std::string_view safetensors_name(DType dtype);

/// One safetensors file, its header checked in full when it is opened: lengths, JSON, shapes,
/// offsets. Whatever is wrong is an Error(Exit::data) that names file and tensor. Tensors of types
/// that are not read may be there.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::filesystem::path const& path);

  std::filesystem::path const& path() const { return file_.path(); }
  /// In the order of their bytes.
  std::vector<SafetensorsEntry> const& entries() const { return entries_; }
  /// Null when there is no such tensor of a type that is read.
  SafetensorsEntry const* find(std::string_view name) const;
  std::map<std::string, std::string> const& metadata() const { return metadata_; }

  /// Fills `into` with the bytes of `entry` from `offset` within it. Reads instead of mapping: a
  /// file cut short under us is then an error, where a mapped page would kill the process.
  void read(SafetensorsEntry const& entry, std::uint64_t offset, std::span<std::byte> into) const;

 private:
  InputFile file_;
  std::vector<SafetensorsEntry> entries_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::map<std::string, std::string> metadata_;
};

/// What a folder without safetensors holds instead (pytorch_model.bin, consolidated.*.pth, GGUF, a
/// LoRA adapter), and the way out, in two sentences. Empty where nothing is recognised.
std::string other_than_safetensors(std::filesystem::path const& folder);

/// The weights of a Hugging Face folder: model.safetensors, or the shards that
/// model.safetensors.index.json names; where both are there the first, as transformers does. What
/// is something else is refused for what it is. Names are found without what wrappers of training
/// put before them (module., _orig_mod., _fsdp_wrapped_module.), and with a "model." that an
/// exporter left out.
class CheckpointFolder {
 public:
  explicit CheckpointFolder(std::filesystem::path const& folder);
  CheckpointFolder(CheckpointFolder const&) = delete;  // names point into files
  CheckpointFolder& operator=(CheckpointFolder const&) = delete;
  /// Whether the folder has one of the two files that the constructor opens.
  static bool present(std::filesystem::path const& folder);

  struct Tensor {
    SafetensorsFile const* file = nullptr;
    SafetensorsEntry const* entry = nullptr;
  };
  /// Null pointers when there is no such tensor.
  Tensor find(std::string_view name) const;
  /// All names as `find` takes them, sorted.
  std::vector<std::string> names() const;
  /// What there is to say of how the folder is read, one sentence each.
  std::vector<std::string> const& notes() const { return notes_; }
  std::vector<SafetensorsFile> const& files() const { return files_; }
  std::filesystem::path const& folder() const { return folder_; }

 private:
  void open_index(std::filesystem::path const& index);
  void refuse_missing(std::map<std::string, std::vector<std::string>> const& shards) const;
  void name_tensors();

  std::filesystem::path folder_;
  std::vector<SafetensorsFile> files_;
  std::map<std::string, Tensor, std::less<>> tensors_;
  std::vector<std::string> notes_;
};

/// Writes a safetensors file at any places, from one process or from several together: one of them
/// calls `create` first and `commit` last, all write and `finish` (see SharedFile).
class SafetensorsWriter {
 public:
  struct Tensor {
    std::string name;
    DType dtype = DType::f32;
    std::vector<std::int64_t> shape;
  };
  SafetensorsWriter(std::filesystem::path const& path, std::vector<Tensor> const& tensors,
                    std::map<std::string, std::string> const& metadata);
  /// The file with its header.
  void create();
  /// The bytes of tensor `index` from `offset` within it.
  void write(std::size_t index, std::uint64_t offset, std::span<std::byte const> bytes);
  /// All that this process writes is on disk.
  void finish() { file_.finish(); }
  void commit() { file_.commit(); }

 private:
  struct Range {
    std::uint64_t begin = 0, end = 0;
  };
  SharedFile file_;
  std::string name_;
  std::string header_;          // with its length in front
  std::vector<Range> tensors_;  // their bytes, counted from the end of the header
  std::uint64_t payload_ = 0;
};

}  // namespace lomo

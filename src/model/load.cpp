#include <cmath>
#include <cstring>
#include <set>
#include <span>
#include <type_traits>
#include <vector>

#include "disk_layout.h"
#include "host_blocks.h"
#include "lomo/core/activity.h"
#include "lomo/io/safetensors.h"
#include "lomo/model/checkpoint.h"
#include "lomo/model/name_map.h"

namespace lomo {
namespace {

constexpr std::size_t kNamesListed = 5;

std::string listed(std::vector<std::string> const& names) {
  std::string text;
  for (std::size_t i = 0; i < std::min(names.size(), kNamesListed); ++i) {
    text += (i == 0 ? "" : ", ") + names[i];
  }
  if (names.size() > kNamesListed) {
    text += " and " + std::to_string(names.size() - kNamesListed) + " more";
  }
  return text;
}

/// What converting a block of values met.
struct Conversion {
  double largest_rounding = 0;    // relative
  std::int64_t bad = -1;          // first value that is not finite, before or after
  bool finite_in_source = false;  // of that one
};

template <class T>
float wide(T x) {
  if constexpr (std::is_same_v<T, double>)
    return static_cast<float>(x);
  else
    return to_float(x);
}
template <class T>
double exact(T x) {
  if constexpr (std::is_same_v<T, double>)
    return x;
  else
    return static_cast<double>(to_float(x));
}

/// Calls f with a value of a type that weights are stored in on disk.
template <class F>
void with_disk_type(DType type, F&& f) {
  type == DType::f64 ? f(double{}) : with_storage_type(type, f);
}

template <class To, class From>
void convert(std::span<std::byte> to, std::span<std::byte const> from, Conversion& result) {
  const std::size_t count = to.size() / sizeof(To);
  double largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    From source;  // memcpy: byte buffers hold no objects of the storage types
    std::memcpy(&source, from.data() + i * sizeof(From), sizeof(From));
    const float x = wide(source);
    To y;
    if constexpr (std::is_same_v<To, From>) {
      y = source;
    } else {
      y = round_to<To>(x);
    }
    std::memcpy(to.data() + i * sizeof(To), &y, sizeof(To));
    const float rounded = to_float(y);
    if (!std::isfinite(rounded)) {
      result.bad = static_cast<std::int64_t>(i);
      result.finite_in_source = std::isfinite(x);
      return;
    }
    if (rounded != exact(source)) {
      const double error = static_cast<double>(rounded) - exact(source);
      largest = std::max(largest, std::abs(error / exact(source)));
    }
  }
  result.largest_rounding = std::max(result.largest_rounding, largest);
}

class Loader {
 public:
  /// `values` to be loaded.
  Loader(Backend& backend, CheckpointFolder const& checkpoint, double values)
      : backend_(backend),
        checkpoint_(checkpoint),
        activity_("loading the weights of " + checkpoint.folder().string(), values) {}

  /// Fills `parameter` with its rows of its tensor, which is there and has the right shape.
  void load(Parameter const& parameter, StoredTensor const& stored) {
    const auto found = checkpoint_.find(stored.name_on_disk());
    auto const* file = found.file;
    auto const* entry = found.entry;
    Conversion conversion;
    for_each_host_block(parameter.value, [&](Tensor block, std::int64_t offset) {
      const std::int64_t first =
          parameter.first_element() + stored.part_row * parameter.whole.cols() + offset;
      const auto count = static_cast<std::size_t>(block.numel());
      source_.resize(count * size_of(entry->dtype));
      converted_.resize(block.bytes());
      file->read(*entry, static_cast<std::uint64_t>(first) * size_of(entry->dtype), source_);
      with_disk_type(entry->dtype, [&](auto from) {
        with_storage_type(block.dtype(), [&](auto to) {
          convert<decltype(to), decltype(from)>(converted_, source_, conversion);
        });
      });
      activity_.advance(static_cast<double>(count));
      if (conversion.bad >= 0) refuse_value(parameter, *file, first, conversion);
      backend_.upload(block, converted_);
    });
    if (conversion.largest_rounding > report_.largest_rounding) {
      report_.largest_rounding = conversion.largest_rounding;
      report_.worst_tensor = parameter.name;
    }
  }

  /// Whether the tensor `name` holds the same bytes as that of `parameter`, in the rows owned here.
  bool same(std::string const& name, Parameter const& parameter) {
    const auto [file_a, entry_a] = checkpoint_.find(name);
    const auto [file_b, entry_b] = checkpoint_.find(parameter.name);
    if (entry_a->dtype != entry_b->dtype || entry_a->shape != entry_b->shape) return false;
    constexpr std::uint64_t kBlock = 4u << 20;
    const std::uint64_t element = size_of(entry_a->dtype);
    const std::uint64_t begin = static_cast<std::uint64_t>(parameter.first_element()) * element;
    const std::uint64_t end = begin + static_cast<std::uint64_t>(parameter.value.numel()) * element;
    for (std::uint64_t at = begin; at < end; at += kBlock) {
      source_.resize(std::min(kBlock, end - at));
      converted_.resize(source_.size());
      file_a->read(*entry_a, at, source_);
      file_b->read(*entry_b, at, converted_);
      if (source_ != converted_) return false;
    }
    return true;
  }

  LoadReport const& report() const { return report_; }

 private:
  [[noreturn]] static void refuse_value(Parameter const& parameter, SafetensorsFile const& file,
                                        std::int64_t first, Conversion const& conversion) {
    const std::int64_t element = first + conversion.bad;
    std::string at = std::to_string(element);
    if (parameter.value.shape().rank() == 2) {
      at = std::to_string(element / parameter.value.cols()) + ", " +
           std::to_string(element % parameter.value.cols());
    }
    const std::string place =
        file.path().string() + ": tensor \"" + parameter.name + "\" at [" + at + "] ";
    if (conversion.finite_in_source) {
      throw Error(Exit::data, place + "is too large for " +
                                  std::string(to_string(parameter.value.dtype())) +
                                  "; set model.dtype to bf16 or f32");
    }
    throw Error(Exit::data, place +
                                "is not finite; the checkpoint is damaged or its training "
                                "diverged");
  }

  Backend& backend_;
  CheckpointFolder const& checkpoint_;
  LoadReport report_;
  Activity activity_;
  std::vector<std::byte> source_;
  std::vector<std::byte> converted_;
};

bool is_weight_type(SafetensorsEntry const& entry) {
  return entry.readable && entry.dtype != DType::i32;
}

/// Every weight is there, in shape and in a type of weights, and no other that a layer could have.
/// The head of a tied model may be. Returns the names of what is there besides.
std::vector<std::string> check_tensors(CheckpointFolder const& checkpoint,
                                       std::vector<WeightShape> const& all, bool tied) {
  std::set<std::string, std::less<>> wanted;
  std::vector<std::string> missing;
  for (WeightShape const& weight : all) {
    wanted.insert(weight.name);
    const auto [file, entry] = checkpoint.find(weight.name);
    if (entry == nullptr) {
      missing.push_back(weight.name);
      continue;
    }
    const std::string place = file->path().string() + ": tensor \"" + entry->name + "\" ";
    if (entry->shape != weight.shape) {
      SafetensorsEntry asked;
      asked.shape = weight.shape;
      throw Error(Exit::data, place + "has shape " + entry->shape_text() +
                                  ", but config.json asks for " + asked.shape_text());
    }
    if (!is_weight_type(*entry)) {
      throw Error(Exit::data, place + "holds " + entry->type +
                                  "; weights are read as F64, F32, BF16 or F16. Convert quantised "
                                  "checkpoints back to one of these first");
    }
  }
  std::vector<std::string> surplus, unread;
  for (std::string const& name : checkpoint.names()) {
    if (wanted.contains(name) || (tied && name == NameMap().head) || NameMap::is_ignored(name)) {
      continue;
    }
    (NameMap::is_of_a_layer(name) ? surplus : unread).push_back(name);
  }
  if (!missing.empty() || !surplus.empty()) {
    std::string message = checkpoint.folder().string() + ": the weights do not fit config.json";
    if (!missing.empty()) message += "; missing: " + listed(missing);
    if (!surplus.empty()) message += "; not asked for by it: " + listed(surplus);
    if (missing == std::vector<std::string>{NameMap().head}) {
      message += ". If the head is the embedding, set tie_word_embeddings to true in config.json";
    }
    throw Error(Exit::data, message);
  }
  return unread;
}

}  // namespace

void check_weights(std::filesystem::path const& folder, ModelConfig const& config) {
  check_tensors(CheckpointFolder(folder), weight_shapes(config), config.tied_embeddings);
}

LoadReport load_weights(Backend& backend, DecoderWeights& weights,
                        std::filesystem::path const& folder) {
  const CheckpointFolder checkpoint(folder);
  std::vector<Parameter const*> all;
  double values = 0;
  for (ParameterGroup const* group : weights.groups()) {
    for (Parameter const& parameter : group->members()) {
      all.push_back(&parameter);
      values += static_cast<double>(parameter.value.numel());
    }
  }
  const auto unread = check_tensors(checkpoint, weights.on_disk, weights.lm_head == nullptr);
  Loader loader(backend, checkpoint, values);
  // Some exporters write the head of a tied model too; it must then be what it is tied to.
  const std::string head = NameMap().head;
  if (!weights.lm_head && checkpoint.find(head).entry != nullptr &&
      !loader.same(head, weights.embedding.single())) {
    throw Error(Exit::data, folder.string() + ": " + head +
                                " differs from the embedding, but config.json ties the two; set "
                                "tie_word_embeddings to false to train them apart");
  }
  const DiskLayout layout(weights.on_disk);
  for (Parameter const* parameter : all) loader.load(*parameter, layout.stored(*parameter));
  LoadReport report = loader.report();
  report.notes = checkpoint.notes();
  if (!unread.empty()) {
    report.notes.push_back(folder.string() + ": tensors that are not read: " + listed(unread));
  }
  return report;
}

}  // namespace lomo

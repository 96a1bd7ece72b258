#include "lomo/run/training_state.h"

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/io/files.h"
#include "lomo/io/manifest.h"
#include "lomo/io/safetensors.h"
#include "lomo/model/tensor_file.h"
#include "lomo/parallel/host_collectives.h"
#include "lomo/run/run_folder.h"
#include "save_folder.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::int64_t kVersion = 3;
constexpr char const* kStateFile = "training_state.json";
constexpr char const* kOptimizerFile = "optimizer.safetensors";

Json or_null(std::optional<double> value) {
  return value ? Json(*value) : Json();
}

Json to_json(BatchLoss const& loss) {
  return {{"mean", loss.mean}, {"error", loss.error}};
}

Json to_json(std::vector<BatchLoss> const& losses) {
  Json list = Json::array();
  for (BatchLoss const& loss : losses) list.push_back(to_json(loss));
  return list;
}

Json to_json(TrainingState const& state) {
  return {{"version", kVersion},
          {"applied", state.trainer.applied},
          {"skipped", state.trainer.skipped},
          {"skipped_in_a_row", state.trainer.skipped_in_a_row},
          {"consumed", state.trainer.consumed},
          {"loss_scale",
           {{"scale", state.trainer.loss_scale.scale},
            {"clean", state.trainer.loss_scale.clean},
            {"overflows", state.trainer.loss_scale.overflows}}},
          {"spike_guard",
           {{"losses", state.trainer.spike_guard.losses},
            {"norms", state.trainer.spike_guard.norms},
            {"lr_factor", state.trainer.spike_guard.lr_factor},
            {"evaluation", or_null(state.trainer.spike_guard.evaluation)},
            {"first",
             state.trainer.spike_guard.first ? to_json(*state.trainer.spike_guard.first) : Json()},
            {"recent", to_json(state.trainer.spike_guard.recent)},
            {"risen", state.trainer.spike_guard.risen}}},
          {"record",
           {{"first", state.record.first},
            {"last", state.record.last},
            {"applied", state.record.applied},
            {"unapplied", state.record.unapplied},
            {"nonfinite", state.record.nonfinite},
            {"skipped", state.record.skipped},
            {"rates", state.record.rates},
            {"realised", state.record.realised},
            {"measured", state.record.measured}}},
          {"epoch", state.position.epoch},
          {"next", state.position.next},
          {"batches", state.batches},
          {"train_sequences", state.train_sequences},
          {"train_tokens", state.train_tokens},
          {"train_hash", state.train_hash},
          {"evaluation", state.evaluation},
          {"metrics_before", state.metrics_before},
          {"config", state.config}};
}

/// In pieces: a shard is larger than what a run may take of the host's memory.
void copy_bytes(fs::path const& from, fs::path const& to) {
  constexpr std::uint64_t kCopied = 4u << 20;
  const InputFile source(from, Exit::data);
  AtomicFile copy(to);
  std::vector<std::byte> piece;
  for (std::uint64_t at = 0; at < source.size(); at += piece.size()) {
    piece.resize(std::min(kCopied, source.size() - at));
    source.read(at, piece);
    copy.write(piece);
  }
  copy.commit();
}

constexpr Range<std::int64_t> kCount{0};

void require_all(JsonReader& reader, std::initializer_list<char const*> keys) {
  for (char const* key : keys) reader.require(key);
}

void read(JsonReader reader, LossScaleState& state) {
  require_all(reader, {"scale", "clean", "overflows"});
  reader.get("scale", state.scale, positive<double>());
  reader.get("clean", state.clean, kCount);
  reader.get("overflows", state.overflows, kCount);
  reader.finish();
}

BatchLoss read_loss(JsonReader reader) {
  require_all(reader, {"mean", "error"});
  BatchLoss loss;
  reader.get("mean", loss.mean);
  reader.get("error", loss.error);
  reader.finish();
  return loss;
}

void read(JsonReader reader, RunRecord& record) {
  require_all(reader,
              {"first", "last", "applied", "unapplied", "nonfinite", "realised", "measured"});
  reader.get("first", record.first);
  reader.get("last", record.last);
  reader.get("applied", record.applied, kCount);
  reader.get("unapplied", record.unapplied, kCount);
  reader.get("nonfinite", record.nonfinite, kCount);
  record.rates = static_cast<double>(record.applied);  // of a checkpoint that does not say
  reader.get("skipped", record.skipped, kCount);
  reader.get("rates", record.rates);
  reader.get("realised", record.realised);
  reader.get("measured", record.measured, kCount);
  reader.finish();
}

void read(JsonReader reader, SpikeGuardState& state) {
  require_all(reader, {"losses", "norms", "lr_factor", "recent", "risen"});
  reader.get("losses", state.losses);
  reader.get("norms", state.norms);
  reader.get("lr_factor", state.lr_factor, positive<double>());
  reader.get("evaluation", state.evaluation);
  if (reader.raw("first") != nullptr && !reader.raw("first")->is_null()) {
    state.first = read_loss(*reader.object("first"));
  }
  for (JsonReader& loss : reader.objects("recent")) {
    state.recent.push_back(read_loss(std::move(loss)));
  }
  reader.get("risen", state.risen, kCount);
  if (state.losses.size() != state.norms.size()) {
    reader.fail("norms", "losses and norms are of the same steps, there must be as many");
  }
  reader.finish();
}

}  // namespace

void save_checkpoint(fs::path const& folder, Decoder& model, UpdateRule& rule,
                     TrainingState const& state, AuxiliaryFiles const& auxiliary_files,
                     std::size_t shard_bytes, Communicator& host) {
  save_folder(folder, host, [&](fs::path const& partial) {
    ModelConfig config = model.config();
    config.dtype = model.dtype();
    save_model(model.backend(), model.weights(), config, partial, auxiliary_files, shard_bytes,
               host);
    const std::vector<StoredTensor> optimizer = rule.state();
    if (!optimizer.empty()) {
      write_tensors(model.backend(), host, partial / kOptimizerFile, optimizer, {});
    }
    on_root(host, [&] { write_file(partial / kStateFile, to_json(state).dump(2) + "\n"); });
  });
}

std::vector<std::string> check_checkpoint(fs::path const& folder) {
  std::vector<std::string> problems = check_manifest(folder);
  if (!problems.empty()) return problems;
  try {
    read_training_state(folder);
  } catch (Error const& error) {
    problems.push_back(error.what());
  }
  return problems;
}

std::optional<fs::path> newest_checkpoint(fs::path const& run) {
  const std::vector<NamedCheckpoint> all = list_checkpoints(run / "checkpoints");
  for (auto named = all.rbegin(); named != all.rend(); ++named) {
    const std::vector<std::string> problems = check_checkpoint(named->path);
    if (problems.empty()) return named->path;
    for (std::string const& problem : problems) log::warn("{}", problem);
    log::warn("checkpoint {} is damaged and not used", named->path.string());
  }
  if (all.empty()) return std::nullopt;
  throw Error(Exit::data, "no checkpoint of " + run.string() + " is whole (" +
                              std::to_string(all.size()) +
                              " looked at, see above). Begin a new run with another --output.");
}

fs::path find_checkpoint(fs::path const& path) {
  std::error_code error;
  if (fs::exists(path / kStateFile, error)) {
    const std::vector<std::string> problems = check_checkpoint(path);
    if (problems.empty()) return path;
    throw Error(Exit::data, "checkpoint " + path.string() + " is damaged: " + problems.front() +
                                ". Name an earlier one, or the run folder to let the newest whole "
                                "one be found.");
  }
  if (auto newest = newest_checkpoint(path)) return *newest;
  throw Error(Exit::data, path.string() +
                              " is neither a checkpoint (a folder with training_state.json) nor "
                              "a run folder with one under checkpoints/");
}

void copy_model(fs::path const& checkpoint, fs::path const& to) {
  for (auto const& entry : fs::directory_iterator(checkpoint)) {
    const std::string name = entry.path().filename().string();
    if (name == kStateFile || name == kOptimizerFile || name == kManifestName) continue;
    copy_bytes(entry.path(), to / name);
  }
}

TrainingState read_training_state(fs::path const& folder) {
  const fs::path file = folder / kStateFile;
  const Json json = read_json(file, Exit::data);
  JsonReader reader(json, file.string(), Exit::data);
  reader.require("version");
  std::int64_t version = 0;
  reader.get("version", version);
  if (version != kVersion) {
    reader.fail("version", "this program reads version " + std::to_string(kVersion) +
                               ", the checkpoint has " + std::to_string(version));
  }
  require_all(reader, {"applied", "skipped", "skipped_in_a_row", "consumed", "loss_scale",
                       "spike_guard", "record", "epoch", "next", "batches", "train_sequences",
                       "train_tokens", "train_hash", "config"});
  TrainingState state;
  reader.get("applied", state.trainer.applied, kCount);
  reader.get("skipped", state.trainer.skipped, kCount);
  reader.get("skipped_in_a_row", state.trainer.skipped_in_a_row, kCount);
  reader.get("consumed", state.trainer.consumed, kCount);
  read(*reader.object("loss_scale"), state.trainer.loss_scale);
  read(*reader.object("spike_guard"), state.trainer.spike_guard);
  read(*reader.object("record"), state.record);
  reader.get("epoch", state.position.epoch, kCount);
  reader.get("next", state.position.next, kCount);
  reader.get("batches", state.batches, kCount);
  reader.get("train_sequences", state.train_sequences, kCount);
  reader.get("train_tokens", state.train_tokens, kCount);
  reader.get("train_hash", state.train_hash);
  if (Json const* evaluation = reader.raw("evaluation")) state.evaluation = *evaluation;
  if (Json const* before = reader.raw("metrics_before")) state.metrics_before = *before;
  state.config = *reader.raw("config");
  reader.finish();
  return state;
}

void load_optimizer(fs::path const& folder, Backend& backend, UpdateRule& rule) {
  const std::vector<StoredTensor> wanted = rule.state();
  if (wanted.empty()) return;
  const SafetensorsFile file(folder / kOptimizerFile);
  std::vector<std::byte> bytes;
  Activity activity("loading the state of the optimizer", static_cast<double>(wanted.size()));
  for (StoredTensor const& tensor : wanted) {
    activity.advance();
    SafetensorsEntry const* entry = file.find(tensor.name);
    if (entry == nullptr || entry->dtype != tensor.value.dtype() ||
        entry->bytes != tensor.whole_bytes()) {
      throw Error(Exit::data, file.path().string() + ": optimizer tensor " + tensor.name +
                                  (entry == nullptr ? " is missing" : " has another size or type") +
                                  "; was the checkpoint written by another optimizer?");
    }
    bytes.resize(tensor.value.bytes());
    file.read(*entry, tensor.first_byte(), bytes);
    backend.upload(tensor.value, bytes);
  }
}

}  // namespace lomo

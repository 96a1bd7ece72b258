#include "inputs_cache.h"

#include <cstdint>
#include <optional>
#include <system_error>

#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/data_cache.h"
#include "lomo/io/files.h"
#include "lomo/io/hash.h"
#include "lomo/io/json.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

constexpr std::uint64_t kSmallest = std::uint64_t{16} << 20;  // bytes of files that "auto" keeps
constexpr char const* kAbout = "about.json";
constexpr char const* kExamples = "examples.json";

constexpr char const* kTokenizerFiles[] = {"tokenizer.json",        "tokenizer.model",
                                           "tokenizer_config.json", "special_tokens_map.json",
                                           "added_tokens.json",     "generation_config.json",
                                           "config.json",           "chat_template.jinja",
                                           "chat_template.json"};

std::vector<std::string> data_files(DataSection const& data) {
  std::vector<std::string> files = data.train;
  files.insert(files.end(), data.validation.begin(), data.validation.end());
  return files;
}

/// Where encoded data are kept; nothing when they are not, or a file is one that cannot be read
/// twice.
std::optional<fs::path> cache_folder(DataSection const& data) {
  if (data.cache == "off") return std::nullopt;
  std::uint64_t bytes = 0;
  std::error_code error;
  for (std::string const& file : data_files(data)) {
    if (!fs::is_regular_file(file, error)) return std::nullopt;
    bytes += fs::file_size(file, error);
  }
  if (data.cache != "auto") return data.cache;
  const fs::path folder = DataCache::default_folder();
  if (bytes < kSmallest || folder.empty()) return std::nullopt;
  return folder;
}

void add_file(Hasher& hasher, fs::path const& file) {
  std::error_code error;
  hasher.add(file.string());
  if (!fs::is_regular_file(file, error)) return hasher.add("absent");
  hasher.add(MappedFile(file, Exit::data).bytes());
}

std::string key_of(TrainConfig const& config, InputNeeds needs, std::string const& more) {
  Hasher hasher;
  hasher.add(std::int64_t{kEncodingVersion});
  nlohmann::ordered_json whole = to_json(config);
  nlohmann::ordered_json data = whole["data"];
  data.erase("cache");
  data.erase("samples");  // are read anew by each run
  hasher.add(data.dump());
  hasher.add(whole["model"]["tokenizer"].dump());
  hasher.add(static_cast<std::int64_t>(config.train.seed));
  hasher.add(std::int64_t{needs.train} + 2 * std::int64_t{needs.eval});
  hasher.add(more);
  for (char const* name : kTokenizerFiles) add_file(hasher, fs::path(config.model.path) / name);
  for (std::string const& file : data_files(config.data)) add_file(hasher, file);
  return hasher.text();
}

Json json_of(Example const& e) {
  return {{"id", e.id},
          {"prompt", e.prompt},
          {"passage", {e.passage_begin, e.passage_end}},
          {"candidates", e.candidates},
          {"gold", e.gold},
          {"answer", e.answer},
          {"accepted", e.accepted},
          {"group", e.group},
          {"where", e.where}};
}

Example example_of(Json const& json) {
  Example e;
  e.id = json.at("id").get<std::string>();
  e.prompt = json.at("prompt").get<std::string>();
  e.passage_begin = json.at("passage").at(0).get<std::size_t>();
  e.passage_end = json.at("passage").at(1).get<std::size_t>();
  e.candidates = json.at("candidates").get<std::vector<std::string>>();
  e.gold = json.at("gold").get<std::int64_t>();
  e.answer = json.at("answer").get<std::string>();
  e.accepted = json.at("accepted").get<std::vector<std::string>>();
  e.group = json.at("group").get<std::string>();
  e.where = json.at("where").get<std::string>();
  return e;
}

Json about(Dataset const& data) {
  const DatasetFacts facts = facts_of(data);
  return {{"smallest_id", facts.smallest_id},   {"largest_id", facts.largest_id},
          {"content_hash", facts.content_hash}, {"files_hash", facts.files_hash},
          {"truncated", data.truncated},        {"statistics", to_json(data.statistics)}};
}

void write(fs::path const& folder, EncodedInputs const& inputs) {
  Json examples = Json::array();
  for (Example const& example : inputs.examples) examples.push_back(json_of(example));
  write_file(folder / kExamples, examples.dump());
  write_file(folder / kAbout,
             Json{{"train", about(inputs.train)}, {"eval", about(inputs.eval)}}.dump());
}

/// Throws when the entry is not what was written.
EncodedInputs read(fs::path const& folder) {
  const Json about = read_json(folder / kAbout, Exit::data);
  const auto dataset = [&](char const* name) {
    Json const& said = about.at(name);
    const DatasetFacts facts{
        said.at("smallest_id").get<std::int32_t>(), said.at("largest_id").get<std::int32_t>(),
        said.at("content_hash").get<std::string>(), said.at("files_hash").get<std::string>()};
    Dataset data = map_dataset(folder, name, facts);
    data.truncated = said.at("truncated").get<std::int64_t>();
    data.statistics = statistics_of(said.at("statistics"));
    return data;
  };
  EncodedInputs inputs{.train = dataset("train"), .eval = dataset("eval"), .examples = {}};
  constexpr std::size_t kLargest = std::size_t{1} << 36;
  for (Json const& example : read_json(folder / kExamples, Exit::data, kLargest)) {
    inputs.examples.push_back(example_of(example));
  }
  return inputs;
}

EncodedInputs encode_in_memory(
    std::function<EncodedInputs(DatasetWriter&, DatasetWriter&)> const& encode) {
  DatasetWriter train, eval;
  return encode(train, eval);
}

}  // namespace

EncodedInputs cached_inputs(
    TrainConfig const& config, InputNeeds needs, std::string const& key,
    std::function<EncodedInputs(DatasetWriter& train, DatasetWriter& eval)> const& encode) {
  const auto folder = cache_folder(config.data);
  if (!folder) return encode_in_memory(encode);
  const std::string entry_key = key_of(config, needs, key);
  bool made = false;
  const auto fill = [&](fs::path const& entry) {
    made = true;
    DatasetWriter train(entry, "train"), eval(entry, "eval");
    write(entry, encode(train, eval));
  };
  try {
    DataCache cache(*folder);
    for (bool again : {true, false}) {
      const fs::path entry = cache.entry(entry_key, fill);
      try {
        EncodedInputs inputs = read(entry);
        log::info("data: {} {}", made ? "encoded, and kept in" : "encoded before, from",
                  entry.string());
        return inputs;
      } catch (std::exception const& error) {  // also the JSON library's
        const bool once_more = again && !made;
        log::warn("{}: cannot be used ({}){}", entry.string(), error.what(),
                  once_more ? " and is made anew" : "");
        cache.remove(entry_key);
      }
    }
  } catch (Error const& error) {
    if (error.code() == Exit::data || (error.code() == Exit::usage && made)) throw;
    log::warn("the cache of encoded data is not used: {}", error.what());
  } catch (fs::filesystem_error const& error) {
    log::warn("the cache of encoded data is not used: {}", error.what());
  }
  return encode_in_memory(encode);
}

}  // namespace lomo

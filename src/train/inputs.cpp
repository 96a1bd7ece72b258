#include "lomo/train/inputs.h"

#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <type_traits>
#include <utility>

#include "encoded_files.h"
#include "inputs_cache.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/data/chat.h"
#include "lomo/data/encode.h"
#include "lomo/data/readers.h"
#include "lomo/data/tasks.h"
#include "lomo/io/files.h"
#include "samples.h"

namespace lomo {

namespace fs = std::filesystem;

namespace {

Tokenizer const& require(Tokenizer const* tokenizer, TrainConfig const& config) {
  if (tokenizer != nullptr) return *tokenizer;
  throw Error(Exit::data, config.model.path + ": data.task \"" + config.data.task +
                              "\" needs a tokenizer; only \"ids\" does without");
}

/// `what` is read `of` training or evaluation data.
EncodeOptions encode_options(TrainConfig const& config, std::string const& of) {
  char const* const what = config.data.task == "ids" ? "lists of ids" : "answers";
  return {config.data.max_length, config.data.too_long,
          std::string(what) + " of the " + of + " data"};
}

using EncodeExamples = Dataset (*)(Tokenizer const&, std::span<Example const>,
                                   EncodeOptions const&);

/// Examples as `read` reads them; `encode_eval` makes the sequences that they are evaluated by.
FileSource<Example> example_source(TrainConfig const& config, Tokenizer const& tokenizer,
                                   EncodeExamples encode_eval,
                                   decltype(FileSource<Example>::read) read) {
  const auto encode = [&](EncodeExamples how, std::string const& of) {
    return [&tokenizer, how, options = encode_options(config, of)](
               std::span<Example const> examples) { return how(tokenizer, examples, options); };
  };
  return {.read = std::move(read),
          .encode_train = encode(encode_examples, "training"),
          .encode_eval = encode(encode_eval, "evaluation"),
          .keeps_eval_items = true};
}

FileSource<Example> task_source(TrainConfig const& config, Tokenizer const& tokenizer,
                                fs::path const& shipped) {
  DataSection const& data = config.data;
  const Prompts prompts(data.prompts.empty() ? shipped : fs::path(data.prompts));
  const Task task = parse_task(data.task);
  return example_source(config, tokenizer, encode_ranked,
                        [task, prompts](std::string const& file, Take<Example> const& take) {
                          for (Example& example : read_examples(task, file, prompts)) {
                            take(std::move(example));
                          }
                        });
}

FileSource<Example> jsonl_source(TrainConfig const& config, Tokenizer const& tokenizer) {
  DataSection const& data = config.data;
  const JsonlFields fields{data.prompt_field, data.answer_field, data.passage_field};
  return example_source(config, tokenizer, encode_examples,
                        [fields](std::string const& file, Take<Example> const& take) {
                          read_jsonl(file, fields, take);
                        });
}

FileSource<Document> text_source(TrainConfig const& config, Tokenizer const& tokenizer) {
  const TextOptions options{config.data.document_separator, config.data.text_field};
  const auto encode = [&](std::span<Document const> documents) {
    return encode_documents(tokenizer, documents, config.data.max_length);
  };
  return {.read = [options](std::string const& file,
                            Take<Document> const& take) { read_documents(file, options, take); },
          .encode_train = encode,
          .encode_eval = encode,
          .large = {
              .contains = [](Document const& document) { return document.size() > kLongDocument; },
              .encode =
                  [&](Document const& document, std::int64_t index, std::int32_t copies,
                      DatasetWriter& out) {
                    encode_long_document(tokenizer, document, config.data.max_length, index, copies,
                                         out);
                  }}};
}

FileSource<Conversation> chat_source(TrainConfig const& config, Tokenizer const& tokenizer,
                                     ChatTemplate const& chat) {
  DataSection const& data = config.data;
  const auto encode = [&](std::span<Conversation const> conversations) {
    return encode_conversations(chat, tokenizer, conversations, data.max_length, data.loss_on);
  };
  return {.read =
              [&data](std::string const& file, Take<Conversation> const& take) {
                read_conversations(file, data.format, take);
              },
          .encode_train = encode,
          .encode_eval = encode};
}

FileSource<IdList> ids_source(TrainConfig const& config) {
  const auto encode = [&](std::string const& of) {
    return [options = encode_options(config, of)](std::span<IdList const> lists) {
      return encode_id_lists(lists, options);
    };
  };
  return {
      .read = read_ids, .encode_train = encode("training"), .encode_eval = encode("evaluation")};
}

/// The chat template of a run that has one.
std::optional<ChatTemplate> chat_template_of(TrainConfig const& config,
                                             Tokenizer const* tokenizer) {
  if (config.data.task != "chat") return std::nullopt;
  ChatTemplate chat(config.model.path, config.data.chat_template, require(tokenizer, config));
  log::info("chat template: {}", chat.origin());
  if (chat.mentions("strftime_now") && std::getenv("SOURCE_DATE_EPOCH") == nullptr) {
    log::warn(
        "the chat template writes the day of rendering; set SOURCE_DATE_EPOCH, or a run resumed on "
        "another day finds other data");
  }
  return chat;
}

/// Those of `examples` that are in the data set.
std::vector<Example> kept_of(std::vector<Example> examples, Dataset const& data) {
  std::vector<Example> kept;
  std::int64_t last = -1;
  for (std::size_t i = 0; i < data.size(); ++i) {
    const std::int64_t item = data.item(i);
    if (item != last) kept.push_back(std::move(examples[static_cast<std::size_t>(item)]));
    last = item;
  }
  return kept;
}

template <class Item>
EncodedInputs encoded(TrainConfig const& config, InputNeeds needs, FileSource<Item> const& source,
                      DatasetWriter& train, DatasetWriter& eval) {
  EncodedFiles<Item> files = encode_files(config, needs, source, train, eval);
  EncodedInputs inputs{std::move(files.train), std::move(files.eval), {}};
  require_fit(inputs.train, encode_options(config, "training"));
  require_fit(inputs.eval, encode_options(config, "evaluation"));
  if constexpr (std::is_same_v<Item, Example>) {
    inputs.examples = kept_of(std::move(files.eval_items), inputs.eval);
  }
  return inputs;
}

/// What encoded data depend on that is neither in config.data nor in its files nor in the
/// tokenizer's.
std::string more_of_key(TrainConfig const& config, fs::path const& prompts,
                        std::optional<ChatTemplate> const& chat) {
  const fs::path wording = config.data.prompts.empty() ? prompts : fs::path(config.data.prompts);
  std::error_code error;
  std::string more = chat ? chat->identity() : "";
  if (fs::is_regular_file(wording, error)) more += read_file(wording, Exit::data);
  return more;
}

}  // namespace

Inputs load_inputs(TrainConfig const& config, Tokenizer const* tokenizer, fs::path const& prompts,
                   InputNeeds needs) {
  DataSection const& data = config.data;
  if (needs.train && data.train.empty()) {
    throw Error(Exit::usage, "data.train names no file: there is nothing to train on");
  }
  if (data.task != "ids") require(tokenizer, config);
  const std::optional<ChatTemplate> chat = chat_template_of(config, tokenizer);
  const auto encode = [&](DatasetWriter& train, DatasetWriter& eval) {
    const auto from = [&](auto const& source) {
      return encoded(config, needs, source, train, eval);
    };
    if (data.task == "ids") return from(ids_source(config));
    if (data.task == "text") return from(text_source(config, *tokenizer));
    if (data.task == "jsonl") return from(jsonl_source(config, *tokenizer));
    if (data.task == "chat") return from(chat_source(config, *tokenizer, *chat));
    return from(task_source(config, *tokenizer, prompts));
  };
  EncodedInputs found = cached_inputs(config, needs, more_of_key(config, prompts, chat), encode);
  Inputs inputs;
  inputs.train = std::move(found.train);
  inputs.eval.data = std::move(found.eval);
  inputs.eval.examples = std::move(found.examples);
  if (chat || data.task == "jsonl" || data.task == "text") {
    if (needs.eval) add_answers(config, *tokenizer, chat ? &*chat : nullptr, inputs.eval);
  } else if (data.task != "ids") {
    inputs.eval.task = parse_task(data.task);
  }
  if (needs.train) require_learnable(inputs.train.statistics);
  if (needs.train && inputs.train.targets() == 0) {
    throw Error(Exit::data,
                "data.train: nothing in these files carries loss, so there is nothing "
                "to learn");
  }
  return inputs;
}

void refuse_share(DataSection const& data, std::int64_t count) {
  const bool text = data.task == "text";
  throw Error(Exit::data,
              "data.validation_share holds nothing out: data.train has " +
                  counted(count, text ? "document" : "example") +
                  (text ? ". Split the file with data.document_separator, or name files in "
                          "data.validation."
                        : ". Add more, or name files in data.validation."));
}

std::vector<bool> hold_out(std::vector<std::string> const& groups, double share,
                           std::uint64_t seed) {
  std::vector<std::size_t> unit(groups.size());  // which unit a thing belongs to
  std::map<std::string, std::size_t> known;
  std::size_t units = 0;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (groups[i].empty()) {
      unit[i] = units++;
      continue;
    }
    auto const [at, added] = known.emplace(groups[i], units);
    units += added ? 1 : 0;
    unit[i] = at->second;
  }
  std::vector<bool> held_unit(units, false);
  const auto count = static_cast<std::int64_t>(units);
  for (const std::int64_t i : split_validation(count, share, seed).validation) {
    held_unit[static_cast<std::size_t>(i)] = true;
  }
  std::vector<bool> held(groups.size());
  for (std::size_t i = 0; i < groups.size(); ++i) held[i] = held_unit[unit[i]];
  return held;
}

}  // namespace lomo

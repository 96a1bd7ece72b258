#include "lomo/train/inputs.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <utility>

#include "lomo/core/activity.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/core/text.h"
#include "lomo/data/chat.h"
#include "lomo/data/encode.h"
#include "lomo/data/readers.h"
#include "lomo/data/subset.h"
#include "lomo/data/tasks.h"
#include "samples.h"

namespace lomo {

namespace {

template <class T>
std::vector<T> pick(std::vector<T>& all, std::vector<std::int64_t> const& indices) {
  std::vector<T> some;
  some.reserve(indices.size());
  for (const std::int64_t i : indices) some.push_back(std::move(all[static_cast<std::size_t>(i)]));
  return some;
}

/// A sequence of ids and where it stands.
struct Positioned {
  Sequence sequence;
  std::string where;
};

std::string group_of(Example const& example) {
  return example.group;
}
std::string group_of(Document const&) {
  return {};
}
std::string group_of(Positioned const&) {
  return {};
}
std::string group_of(Conversation const&) {
  return {};
}

/// Training and validation items of one kind, split and sampled as the config says.
template <class T>
struct Parts {
  std::vector<T> train, validation;
};

template <class T>
std::vector<T> read_all(std::vector<std::string> const& files,
                        std::function<std::vector<T>(std::string const&)> const& read) {
  std::vector<T> all;
  for (std::string const& file : files) {
    std::vector<T> some = read(file);
    std::move(some.begin(), some.end(), std::back_inserter(all));
  }
  return all;
}

template <class T>
void keep_sample(std::vector<T>& items, TrainConfig const& config, std::int64_t cap) {
  const auto n = static_cast<std::int64_t>(items.size());
  items = pick(items, choose_subset(config.data.sampling, n, cap, config.train.seed));
}

template <class T>
Parts<T> read_split(TrainConfig const& config, InputNeeds needs,
                    std::function<std::vector<T>(std::string const&)> const& read) {
  DataSection const& data = config.data;
  Parts<T> split;
  const bool cut = needs.eval && data.validation.empty() && data.validation_share > 0;
  if (needs.train || cut || data.validation_share > 0) split.train = read_all(data.train, read);
  if (needs.eval) split.validation = read_all(data.validation, read);
  if (data.validation_share > 0) {
    std::vector<std::string> groups;
    for (T const& item : split.train) groups.push_back(group_of(item));
    const std::vector<bool> held = hold_out(groups, data.validation_share, config.train.seed);
    std::vector<T> kept;
    for (std::size_t i = 0; i < held.size(); ++i) {
      (held[i] ? split.validation : kept).push_back(std::move(split.train[i]));
    }
    split.train = std::move(kept);
    if (split.validation.empty()) {
      throw Error(Exit::data,
                  "data.validation_share holds nothing out: data.train has " +
                      (data.task == "text"
                           ? counted(static_cast<std::int64_t>(held.size()), "document") +
                                 ". Split the file with data.document_separator, or name files in "
                                 "data.validation."
                           : counted(static_cast<std::int64_t>(held.size()), "example") +
                                 ". Add more, or name files in data.validation."));
    }
  }
  keep_sample(split.train, config, data.train_examples);
  keep_sample(split.validation, config, data.eval_examples);
  return split;
}

Tokenizer const& require(Tokenizer const* tokenizer, TrainConfig const& config) {
  if (tokenizer != nullptr) return *tokenizer;
  throw Error(Exit::data, config.model.path + ": data.task \"" + config.data.task +
                              "\" needs a tokenizer; only \"ids\" does without");
}

EncodeOptions encode_options(TrainConfig const& config, char const* what) {
  return {config.data.max_length, config.data.too_long, what};
}

/// Those of `examples` that are in the data set.
std::vector<Example> kept_of(std::vector<Example> examples, Dataset const& data) {
  std::vector<Example> kept;
  std::int64_t last = -1;
  for (const std::int64_t item : data.items) {
    if (item != last) kept.push_back(std::move(examples[static_cast<std::size_t>(item)]));
    last = item;
  }
  return kept;
}

Inputs load_task(TrainConfig const& config, Tokenizer const& tokenizer,
                 std::filesystem::path const& shipped, InputNeeds needs) {
  const Task task = parse_task(config.data.task);
  const Prompts prompts(config.data.prompts.empty() ? shipped
                                                    : std::filesystem::path(config.data.prompts));
  auto split = read_split<Example>(
      config, needs, [&](std::string const& file) { return read_examples(task, file, prompts); });
  Inputs inputs;
  if (needs.train) {
    inputs.train = build_dataset(tokenizer, split.train, encode_options(config, "training"));
    require_learnable(inputs.train.statistics);
  }
  inputs.eval.task = task;
  inputs.eval.data =
      build_ranked(tokenizer, split.validation, encode_options(config, "evaluation"));
  inputs.eval.examples = kept_of(std::move(split.validation), inputs.eval.data);
  return inputs;
}

/// What the model is to write in evaluations of other texts than conversations.
void add_samples(TrainConfig const& config, Tokenizer const& tokenizer, EvalSet& eval) {
  eval.tokenizer = &tokenizer;
  eval.stops = tokenizer.stops();
  eval.samples = load_samples(config, tokenizer, nullptr);
}

Inputs load_jsonl(TrainConfig const& config, Tokenizer const& tokenizer, InputNeeds needs) {
  DataSection const& data = config.data;
  const JsonlFields fields{data.prompt_field, data.answer_field, data.passage_field};
  auto split = read_split<Example>(
      config, needs, [&](std::string const& file) { return read_jsonl(file, fields); });
  Inputs inputs;
  if (needs.train) {
    inputs.train = build_dataset(tokenizer, split.train, encode_options(config, "training"));
    require_learnable(inputs.train.statistics);
  }
  inputs.eval.data =
      build_dataset(tokenizer, split.validation, encode_options(config, "evaluation"));
  inputs.eval.examples = kept_of(std::move(split.validation), inputs.eval.data);
  if (needs.eval) add_samples(config, tokenizer, inputs.eval);
  return inputs;
}

Inputs load_text(TrainConfig const& config, Tokenizer const& tokenizer, InputNeeds needs) {
  DataSection const& data = config.data;
  const TextOptions options{data.document_separator, data.text_field};
  auto split = read_split<Document>(
      config, needs, [&](std::string const& file) { return read_documents(file, options); });
  Inputs inputs;
  if (needs.train) inputs.train = build_dataset(tokenizer, split.train, data.max_length);
  inputs.eval.data = build_dataset(tokenizer, split.validation, data.max_length);
  if (needs.eval) add_samples(config, tokenizer, inputs.eval);
  return inputs;
}

Inputs load_chat(TrainConfig const& config, Tokenizer const& tokenizer, InputNeeds needs) {
  DataSection const& data = config.data;
  const ChatTemplate chat(config.model.path, data.chat_template, tokenizer);
  log::info("chat template: {}", chat.origin());
  if (chat.mentions("strftime_now") && std::getenv("SOURCE_DATE_EPOCH") == nullptr) {
    log::warn(
        "the chat template writes the day of rendering; set SOURCE_DATE_EPOCH, or a run resumed on "
        "another day finds other data");
  }
  auto split = read_split<Conversation>(config, needs, [&](std::string const& file) {
    return read_conversations(file, data.format);
  });
  const auto build = [&](std::vector<Conversation> const& conversations, std::string const& which) {
    ChatReport report;
    Dataset dataset =
        build_dataset(chat, tokenizer, conversations, data.max_length, data.loss_on, report);
    for (std::string const& sentence : report.sentences()) log::warn("{}: {}", which, sentence);
    return dataset;
  };
  Inputs inputs;
  if (needs.train) inputs.train = build(split.train, "training data");
  inputs.eval.data = build(split.validation, "validation data");
  if (needs.eval) add_chat_answers(config, tokenizer, chat, inputs.eval);
  return inputs;
}

Dataset dataset_of(std::vector<Positioned>&& items) {
  Dataset data;
  for (Positioned& item : items) {
    data.sequences.push_back(std::move(item.sequence));
    data.where.push_back(std::move(item.where));
    data.items.push_back(static_cast<std::int64_t>(data.items.size()));
  }
  return data;
}

Inputs load_ids(TrainConfig const& config, InputNeeds needs) {
  DataStatistics found;  // of all files together
  auto split = read_split<Positioned>(config, needs, [&](std::string const& file) {
    Dataset data = read_ids(file, config.data.max_length, config.data.too_long);
    found.add(data.statistics);
    std::vector<Positioned> items;
    for (std::size_t i = 0; i < data.sequences.size(); ++i) {
      items.push_back({std::move(data.sequences[i]), std::move(data.where[i])});
    }
    return items;
  });
  Inputs inputs;
  if (needs.train) inputs.train = dataset_of(std::move(split.train));
  inputs.eval.data = dataset_of(std::move(split.validation));
  (needs.train ? inputs.train : inputs.eval.data).statistics = std::move(found);
  return inputs;
}

}  // namespace

Inputs load_inputs(TrainConfig const& config, Tokenizer const* tokenizer,
                   std::filesystem::path const& prompts, InputNeeds needs) {
  DataSection const& data = config.data;
  if (needs.train && data.train.empty()) {
    throw Error(Exit::usage, "data.train names no file: there is nothing to train on");
  }
  Inputs inputs;
  if (data.task == "ids") {
    inputs = load_ids(config, needs);
  } else if (data.task == "text") {
    inputs = load_text(config, require(tokenizer, config), needs);
  } else if (data.task == "jsonl") {
    inputs = load_jsonl(config, require(tokenizer, config), needs);
  } else if (data.task == "chat") {
    inputs = load_chat(config, require(tokenizer, config), needs);
  } else {
    inputs = load_task(config, require(tokenizer, config), prompts, needs);
  }
  if (!inputs.eval.samples.empty() && inputs.eval.empty()) {
    throw Error(
        Exit::usage,
        "data.samples are answered at evaluations, and there is nothing to evaluate on: name "
        "data.validation, or set data.validation_share");
  }
  if (needs.train && inputs.train.targets() == 0) {
    throw Error(Exit::data,
                "data.train: nothing in these files carries loss, so there is nothing "
                "to learn");
  }
  return inputs;
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

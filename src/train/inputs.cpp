#include "lomo/train/inputs.h"

#include <algorithm>
#include <functional>
#include <map>
#include <utility>

#include "lomo/core/error.h"
#include "lomo/data/encode.h"
#include "lomo/data/readers.h"
#include "lomo/data/subset.h"
#include "lomo/data/tasks.h"

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
                  "data.validation_share of " + std::to_string(held.size()) +
                      " documents or examples holds out none: name data.validation, or part a text "
                      "file by data.document_separator");
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

/// Every candidate of every example, one prompt for all candidates of an example.
void encode_ranked(Tokenizer const& tokenizer, std::int64_t max_length, EvalSet& eval) {
  for (Example const& example : eval.examples) {
    bool cut = false;
    for (EncodedAnswer const& e : encode_candidates(tokenizer, example, max_length)) {
      eval.data.sequences.push_back(make_sequence(e.ids, e.loss_from));
      eval.data.where.push_back(example.where);
      cut = cut || e.truncated;
    }
    eval.data.truncated += cut ? 1 : 0;
  }
}

/// The texts of an item that are encoded.
std::vector<std::string_view> texts_of(Example const& example) {
  return {example.prompt, example.answer};
}
std::vector<std::string_view> texts_of(Document const& document) {
  return {document.text};
}

template <class T>
void count_special(TrainConfig const& config, Tokenizer const& tokenizer, Parts<T> const& parts,
                   Inputs& inputs) {
  if (config.data.parse_special) return;
  for (auto const* items : {&parts.train, &parts.validation}) {
    for (T const& item : *items) {
      for (const std::string_view text : texts_of(item)) {
        tokenizer.count_special(text, inputs.special_as_text);
      }
    }
  }
}

Inputs load_task(TrainConfig const& config, Tokenizer const& tokenizer,
                 std::filesystem::path const& shipped, InputNeeds needs) {
  const Task task = parse_task(config.data.task);
  const Prompts prompts(config.data.prompts.empty() ? shipped
                                                    : std::filesystem::path(config.data.prompts));
  auto split = read_split<Example>(
      config, needs, [&](std::string const& file) { return read_examples(task, file, prompts); });
  Inputs inputs;
  count_special(config, tokenizer, split, inputs);
  if (needs.train) inputs.train = build_dataset(tokenizer, split.train, config.data.max_length);
  inputs.eval.task = task;
  inputs.eval.examples = std::move(split.validation);
  encode_ranked(tokenizer, config.data.max_length, inputs.eval);
  return inputs;
}

Inputs load_jsonl(TrainConfig const& config, Tokenizer const& tokenizer, InputNeeds needs) {
  DataSection const& data = config.data;
  const JsonlFields fields{data.prompt_field, data.answer_field, data.passage_field};
  auto split = read_split<Example>(
      config, needs, [&](std::string const& file) { return read_jsonl(file, fields); });
  Inputs inputs;
  count_special(config, tokenizer, split, inputs);
  if (needs.train) inputs.train = build_dataset(tokenizer, split.train, data.max_length);
  inputs.eval.data = build_dataset(tokenizer, split.validation, data.max_length);
  return inputs;
}

Inputs load_text(TrainConfig const& config, Tokenizer const& tokenizer, InputNeeds needs) {
  DataSection const& data = config.data;
  const TextOptions options{data.document_separator, data.text_field};
  auto split = read_split<Document>(
      config, needs, [&](std::string const& file) { return read_documents(file, options); });
  Inputs inputs;
  count_special(config, tokenizer, split, inputs);
  if (needs.train) inputs.train = build_dataset(tokenizer, split.train, data.max_length);
  inputs.eval.data = build_dataset(tokenizer, split.validation, data.max_length);
  return inputs;
}

Dataset dataset_of(std::vector<Positioned>&& items) {
  Dataset data;
  for (Positioned& item : items) {
    data.sequences.push_back(std::move(item.sequence));
    data.where.push_back(std::move(item.where));
  }
  return data;
}

Inputs load_ids(TrainConfig const& config, InputNeeds needs) {
  auto split = read_split<Positioned>(config, needs, [&](std::string const& file) {
    Dataset data = read_ids(file, config.data.max_length);
    std::vector<Positioned> items;
    for (std::size_t i = 0; i < data.sequences.size(); ++i) {
      items.push_back({std::move(data.sequences[i]), std::move(data.where[i])});
    }
    return items;
  });
  Inputs inputs;
  if (needs.train) inputs.train = dataset_of(std::move(split.train));
  inputs.eval.data = dataset_of(std::move(split.validation));
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
  } else {
    inputs = load_task(config, require(tokenizer, config), prompts, needs);
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

#include <algorithm>
#include <limits>
#include <optional>

#include "declarations.h"
#include "key_builders.h"
#include "names.h"

namespace lomo::keys {

namespace {

using Out = nlohmann::ordered_json;

const Readers kJsonl{"data.task jsonl",
                     [](TrainConfig const& c) { return c.data.task == "jsonl"; }};
const Readers kText{"data.task text", [](TrainConfig const& c) { return c.data.task == "text"; }};
const Readers kChat{"data.task chat", [](TrainConfig const& c) { return c.data.task == "chat"; }};
const Readers kOpenTasks{"data.task chat, jsonl or text", [](TrainConfig const& c) {
                           return c.data.task == "chat" || c.data.task == "jsonl" ||
                                  c.data.task == "text";
                         }};

ConfigKey path_key(std::string& value, About about) {
  return make(
      "path", "text", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        reader.get(key, value);
        if (value.empty()) reader.fail(key, "the path is empty");
      },
      [&value] { return Out(value); });
}

ConfigKey shape_key(Json& value, About about) {
  return make(
      "shape", "object", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        Json const* found = reader.raw(key);
        if (found == nullptr || found->is_null()) return;
        value = *found;
        JsonReader shape = *reader.object(key);
        std::int64_t count = 0;
        double number = 0;
        bool flag = false;
        for (const std::string_view name : kShapeCounts) shape.get(name, count, kAtLeastOne);
        for (const std::string_view name : kShapeNumbers)
          shape.get(name, number, positive<double>());
        for (const std::string_view name : kShapeFlags) shape.get(name, flag);
        std::string family;
        shape.get(kShapeFamily, family);
        std::optional<std::int64_t> window;
        shape.get(kShapeWindow, window, kAtLeastOne);
        shape.finish();
      },
      [&value] { return Out(value); });
}

ConfigKey task_key(std::string& value, About about) {
  return make(
      "task", "text", std::move(about),
      [&value](JsonReader& reader, std::string const& key) {
        reader.get(key, value);
        if (std::ranges::find(kTasks, value) != kTasks.end()) return;
        std::string list;
        for (const std::string_view task : kTasks) list += " " + std::string(task);
        reader.fail(key, "expected one of" + list + ", found \"" + value + "\"");
      },
      [&value] { return Out(value); });
}

/// A path, or an object of a path and how often the file is in the data.
void add_file(Json const& item, std::string const& pointer, JsonReader const& reader,
              std::string const& key, DataSection& data) {
  std::string path;
  double repeat = 1;
  if (item.is_object()) {
    JsonReader file(item, reader.where(), reader.exit(), pointer);
    file.require("path");
    file.get("path", path);
    file.get("repeat", repeat, Range<double>{std::numeric_limits<double>::denorm_min(), 1e6});
    file.finish();
  } else if (item.is_string()) {
    path = item.get<std::string>();
  }
  if (path.empty()) reader.fail(key, "expected paths, or {\"path\", \"repeat\"}");
  data.train.push_back(path);
  data.repeats.push_back(repeat);
}

ConfigKey train_key(DataSection& data, About about) {
  return make(
      "train", "path, `{path, repeat}` or list", std::move(about),
      [&data](JsonReader& reader, std::string const& key) {
        Json const* found = reader.raw(key);
        if (found == nullptr) return;
        const Json list = found->is_array() ? *found : Json::array({*found});
        for (std::size_t i = 0; i < list.size(); ++i) {
          add_file(list[i], reader.pointer() + "/" + key + "/" + std::to_string(i), reader, key,
                   data);
        }
      },
      [&data] {
        Out files = Out::array();
        for (std::size_t i = 0; i < data.train.size(); ++i) {
          if (data.repeats[i] == 1) {
            files.push_back(data.train[i]);
          } else {
            files.push_back({{"path", data.train[i]}, {"repeat", data.repeats[i]}});
          }
        }
        return files;
      });
}

}  // namespace

ConfigSection declare(ModelSection& model) {
  return {
      "model",
      /*required=*/true,
      {path_key(
           model.path,
           {.meaning = "Hugging Face checkpoint: `config.json`, safetensors, `tokenizer.json` or "
                       "`tokenizer.model`. Missing: exit code 4, before anything is allocated",
            .values = "a folder",
            .required = true}),
       choice("dtype", model.dtype, kStorageTypes,
              {.meaning = "Storage type of weights and activations; sums, loss, norms and "
                          "updates are always f32. `f16` scales its loss (`loss_scale`) and "
                          "needs `gradient_check: step`",
               .shown_default = "the checkpoint's own"}),
       shape_key(model.shape,
                 {.meaning =
                      "`hidden_size`, `num_hidden_layers`, `num_attention_heads`, "
                      "`num_key_value_heads`, `head_dim`, `intermediate_size`, `vocab_size`, "
                      "`max_position_embeddings`, `rms_norm_eps`, `rope_theta`, "
                      "`tie_word_embeddings`, `attention_bias`, `mlp_bias`, `sliding_window`, "
                      "`use_sliding_window`, and the family, `model_type`. Where given, the folder "
                      "must agree",
                  .values = "keys of a Hugging Face `config.json`",
                  .shown_default = "none",
                  .resume_may_change = true}),
       choice("tokenizer", model.tokenizer, kTokenizerFiles,
              {.meaning =
                   "Which file the tokenizer is read from. `auto` takes `tokenizer.json`; where "
                   "there is a `tokenizer.model` too, both must give the same ids on a built-in "
                   "sample, else an error names a text on which they differ and this key chooses"}),
       flag(
           "strict", model.strict,
           {.meaning = "Whether a key of `config.json` that nobody knows is an error. Else it is a "
                       "warning that names it; keys known to change the computation are honoured "
                       "or refused either way"})},
      {}};
}

ConfigSection declare(DataSection& data) {
  return {
      "data",
      /*required=*/true,
      {task_key(data.task,
                {.meaning = "What the files hold: a SuperGLUE task, own JSONL with a prompt and "
                            "an answer, conversations, plain text, or JSONL of token ids "
                            "(`ids`, `loss_from`). Where JSONL is read, one JSON array of the "
                            "same objects is read too; any of these files may be gzipped",
                 .values = "`boolq` `cb` `copa` `multirc` `record` `rte` `wic` `wsc` `jsonl` "
                           "`chat` `text` `ids`",
                 .required = true}),
       train_key(data, {.meaning =
                            "Training files; required for training, not for `eval`. `{\"path\": "
                            "\"a.jsonl\", \"repeat\": 2.5}` has a file's examples in the data so "
                            "often; a fraction takes every so many, from a place that `train.seed` "
                            "chooses. Caps and shares count examples before they are repeated",
                        .values = "files",
                        .shown_default = "none",
                        .resume_may_change = true}),
       paths("validation", data.validation,
             {.meaning = "Held-out files for evaluation",
              .values = "files",
              .shown_default = "none",
              .resume_may_change = true}),
       number(
           "validation_share", data.validation_share, kBelowOne,
           {.meaning =
                "Part of the training data kept for evaluation when no validation file is named"}),
       text("prompt_field", data.prompt_field,
            {.meaning = "`jsonl`: the field that carries no loss, or a template over fields "
                        "such as `{passage} {question}?\\nAnswer: `",
             .readers = kJsonl}),
       text("answer_field", data.answer_field,
            {.meaning = "`jsonl`: the field that is learnt: a text, a number, or "
                        "`true`/`false`, which become Yes and No",
             .readers = kJsonl}),
       text("text_field", data.text_field,
            {.meaning = "`text`: the field of a `.jsonl` file, one document a line; any other "
                        "file is parted by `data.document_separator`",
             .readers = kText}),
       text("passage_field", data.passage_field,
            {.meaning = "`jsonl`: the field that truncation may cut; none: the start of the prompt",
             .shown_default = "none",
             .readers = kJsonl}),
       text("document_separator", data.document_separator,
            {.meaning = "`text`: what parts the documents of a plain text file; none: a file is "
                        "one document. A plain file is mapped and takes no memory of its own (a "
                        "gzipped one is in memory whole); a document of more than 8 MiB is cut "
                        "where its ids stay the same and encoded by all threads. Of tokenizers "
                        "of which that place cannot be told (unigram models, tables or patterns "
                        "that rewrite a text) it is encoded whole, with a warning",
             .values = "`\"\\n\"`, `\"\\n\\n\"`, `\"<|endoftext|>\"`, ...",
             .shown_default = "none",
             .readers = kText}),
       path("prompts", data.prompts,
            {.meaning = "Wording of the SuperGLUE prompts",
             .values = "a file like `configs/prompts/superglue.json`",
             .shown_default = "the shipped one",
             .readers = kSuperglue,
             .resume_may_change = true}),
       path("samples", data.samples,
            {.meaning =
                 "`chat`, `jsonl`, `text`: prompts that the model answers, greedily, at every "
                 "evaluation: JSONL with `messages` (`chat`; those of the assistant at the end "
                 "are left out) or `prompt`, or one prompt a line. The answers are in the log "
                 "and under `samples` in `metrics.jsonl`. Needs something to evaluate on",
             .values = "a file",
             .shown_default = "none",
             .readers = kOpenTasks,
             .resume_may_change = true}),
       text("template", data.chat_template,
            {.meaning = "`chat`: the chat template (Jinja), a file or a built-in one. The "
                        "folder's is `chat_template.jinja`, or stands in `chat_template.json` "
                        "or `tokenizer_config.json`. For templates that write the date, "
                        "SOURCE_DATE_EPOCH sets the day",
             .values = "a file, or `chatml` `llama2` `llama3` `mistral` `zephyr` `vicuna` `alpaca`",
             .shown_default = "the model folder's",
             .readers = kChat}),
       choice("format", data.format, kChatFormats,
              {.meaning = "`chat`: how the files write conversations; `auto` goes by the fields "
                          "of each file's first record. JSON, one record a line or one list",
               .readers = kChat}),
       choice("loss_on", data.loss_on, kLossOn,
              {.meaning = "`chat`: what is learnt. An answer is what follows the generation "
                          "prompt, up to and with the token that ends the turn; where the "
                          "template has generation blocks, what they write",
               .readers = kChat}),
       flag("parse_special", data.parse_special,
            {.meaning = "Whether special tokens that a text spells out (`<s>`, `<|im_end|>`) "
                        "are tokens. Else they are text, and a warning counts them. Added "
                        "tokens that are not special are always found"}),
       integer("max_length", data.max_length, Range<std::int64_t>{2},
               {.meaning = "Most tokens of a sequence. Longer prompts lose part of their "
                           "passage, conversations lose their earliest turns, never part of an "
                           "answer; the count is reported"}),
       choice("too_long", data.too_long, kTooLong,
              {.meaning = "What is done with an answer (or a list of ids) that does not fit "
                          "`data.max_length` even without its prompt: an error that counts all of "
                          "them and names the longest; the example is left out; or the answer "
                          "keeps its start, after at most half of `data.max_length` of prompt, and "
                          "its end is not learnt. The last two are counted in a warning"}),
       integer("train_examples", data.train_examples, kCount,
               {.meaning = "Most training examples", .values = "0: all"}),
       integer(
           "eval_examples", data.eval_examples, kCount,
           {.meaning = "Most evaluation examples", .values = "0: all", .resume_may_change = true}),
       choice("sampling", data.sampling, kSubsets,
              {.meaning = "Which examples a cap keeps: CPython's `random.Random(0).sample` as "
                          "the published LOMO drew them, a shuffle by `train.seed`, or the "
                          "first in file order"}),
       text("cache", data.cache,
            {.meaning = "Where encoded data are kept for the next run, by the contents of the "
                        "files, the tokenizer, the template and these settings. `auto` is "
                        "`lomo-train` in the user's cache folder, for files of more than 16 MiB "
                        "together. The newest 32 GiB are kept; `lomo-train cache --list` and "
                        "`--clear`. On ranks one process encodes and the others wait",
             .values = "`auto`, `off`, a folder",
             .resume_may_change = true})},
      [&data](JsonReader const& reader) {
        if (data.cache.empty()) reader.fail("cache", "expected \"auto\", \"off\" or a folder");
        if (!data.validation.empty() && data.validation_share > 0) {
          reader.fail("validation_share",
                      "data.validation names files already; give one of the two");
        }
      }};
}

ConfigSection declare(BatchSection& batch) {
  return {"batch",
          /*required=*/false,
          {integer("sequences", batch.sequences, kCount,
                   {.meaning = "Sequences a step. There is no padding and no accumulation: a "
                               "bigger batch is a longer ragged batch",
                    .values = "0: as many as `batch.max_tokens` allows"}),
           integer("max_tokens", batch.max_tokens, kCount,
                   {.meaning = "Most tokens a step; a batch then holds fewer sequences",
                    .values = "0: no cap"})},
          [&batch](JsonReader const& reader) {
            if (batch.sequences == 0 && batch.max_tokens == 0) {
              reader.fail("sequences",
                          "0 leaves the size of a batch to batch.max_tokens, which is 0 too");
            }
          }};
}

}  // namespace lomo::keys

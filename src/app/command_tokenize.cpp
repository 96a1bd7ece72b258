#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "choice_option.h"
#include "commands.h"
#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/chat.h"
#include "lomo/data/readers.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/json.h"

namespace lomo::app {

namespace {

using Out = nlohmann::ordered_json;

void append(std::vector<std::int32_t>& ids, std::vector<std::int32_t> const& more) {
  ids.insert(ids.end(), more.begin(), more.end());
}

/// {"text"} becomes {"text", "ids", "pieces"}.
Out encoded(Tokenizer const& tokenizer, bool special, JsonReader& record) {
  std::string text;
  record.require("text");
  record.get("text", text);
  std::vector<std::int32_t> ids;
  if (special) append(ids, tokenizer.before());
  append(ids, tokenizer.encode(text));
  if (special) append(ids, tokenizer.after());
  std::vector<std::string> pieces;
  for (const std::int32_t id : ids) pieces.push_back(tokenizer.piece(id));
  return {{"text", text}, {"ids", ids}, {"pieces", pieces}};
}

/// {"ids"} becomes {"text"}.
Out decoded(Tokenizer const& tokenizer, JsonReader& record) {
  std::vector<std::int64_t> wide;
  record.require("ids");
  record.get("ids", wide, Range<std::int64_t>{0, tokenizer.size() - 1});
  const std::vector<std::int32_t> ids(wide.begin(), wide.end());
  for (const std::int32_t id : ids) {
    if (!tokenizer.has(id)) record.fail("ids", std::to_string(id) + " is no token");
  }
  return {{"text", tokenizer.decode(ids)}};
}

/// A conversation becomes {"text", "ids", "loss"}.
Out encoded(EncodedChat const& chat) {
  std::vector<std::int32_t> ids;
  for (TokenSpan const& token : chat.tokens) ids.push_back(token.id);
  const std::vector<int> loss(chat.loss.begin(), chat.loss.end());
  return {{"text", chat.marked.text}, {"ids", ids}, {"loss", loss}};
}

/// Nobody reads stdout any more (`| head`), which ends the work without being an error.
struct NoReader {};

void write_line(Out const& object) {
  if (!console::print_while_read(object.dump() + "\n")) throw NoReader{};
}

std::string opened(std::string const& file) {
  return file == "-" ? "/dev/stdin" : file;
}

/// Writes one JSON object a line for each record of a file ("-": stdin).
void each_record(std::string const& file, std::function<Out(JsonReader&)> const& convert) {
  each_line(opened(file), [&](std::string const& line, std::string const& where) {
    const Json json = parse_json(line, where, Exit::data);
    if (!json.is_object()) throw Error(Exit::data, where + ": must hold a JSON object");
    JsonReader record(json, where, Exit::data);
    write_line(convert(record));
  });
}

}  // namespace

void TokenizeCommand::options(CLI::App& app) {
  app.add_option("--model", model, "a folder with a tokenizer's files; weights are not needed")
      ->required();
  app.add_option("file", file,
                 "JSONL with \"text\", with \"ids\" to --decode, or conversations to --chat; - is "
                 "stdin")
      ->required();
  app.add_flag("--no-special", no_special, "leave out what the tokenizer puts around a text");
  app.add_flag("--parse-special", parse_special, "read special tokens in a text as tokens");
  app.add_flag("--decode", decode, "make text of ids")->excludes("--no-special", "--parse-special");
  CLI::Option* const as_chat =
      app.add_flag("--chat", chat, "render conversations and say which ids carry loss")
          ->excludes("--decode", "--no-special", "--parse-special");
  app.add_option("--template", chat_template,
                 "of --chat: a file or a built-in name; default: the model folder's")
      ->needs(as_chat);
  app.add_flag("--add-generation-prompt", add_generation_prompt,
               "of --chat: end with what the next answer follows")
      ->needs(as_chat);
  add_choice(app, "--loss-on", loss_on, kLossOn, "of --chat: as data.loss_on")->needs(as_chat);
  add_tokenizer_option(app, tokenizer_from);
}

int TokenizeCommand::run() const try {
  const Tokenizer source(model, {tokenizer_from, parse_special});
  for (std::string const& warning : source.warnings()) log::warn("{}", warning);
  if (chat) {
    const ChatTemplate used(model, chat_template, source);
    read_conversations(opened(file), ChatFormat::automatic, [&](Conversation const& one) {
      write_line(encoded(encode_chat(used, source, one, loss_on, add_generation_prompt)));
    });
  } else {
    each_record(file, [&](JsonReader& record) {
      return decode ? decoded(source, record) : encoded(source, !no_special, record);
    });
  }
  return static_cast<int>(Exit::done);
} catch (NoReader const&) {
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app

#include <cstdio>
#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "commands.h"
#include "lomo/core/error.h"
#include "lomo/core/log.h"
#include "lomo/data/readers.h"
#include "lomo/data/tokenizer.h"
#include "lomo/io/json.h"
#include "tokenizer_option.h"

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

/// Writes one JSON object a line for each record of a file ("-": stdin).
void each_record(std::string const& file, std::function<Out(JsonReader&)> const& convert) {
  const auto check = [](bool written) {
    if (!written) throw Error("stdout: what was asked for could not be written");
  };
  each_line(file == "-" ? "/dev/stdin" : file,
            [&](std::string const& line, std::string const& where) {
              const Json json = parse_json(line, where, Exit::data);
              if (!json.is_object()) throw Error(Exit::data, where + ": must hold a JSON object");
              JsonReader record(json, where, Exit::data);
              const std::string out = convert(record).dump() + "\n";
              check(std::fwrite(out.data(), 1, out.size(), stdout) == out.size());
            });
  check(std::fflush(stdout) == 0);
}

}  // namespace

void TokenizeCommand::options(CLI::App& app) {
  app.add_option("--model", model, "a folder with a tokenizer's files; weights are not needed")
      ->required();
  app.add_option("file", file, "JSONL with \"text\", or with \"ids\" to --decode; - is stdin")
      ->required();
  app.add_flag("--no-special", no_special, "leave out what the tokenizer puts around a text");
  app.add_flag("--parse-special", parse_special, "read special tokens in a text as tokens");
  app.add_flag("--decode", decode, "make text of ids")->excludes("--no-special", "--parse-special");
  add_tokenizer_option(app, tokenizer_from);
}

int TokenizeCommand::run() const {
  const Tokenizer source(model, {tokenizer_file(tokenizer_from), parse_special});
  for (std::string const& warning : source.warnings()) log::warn("{}", warning);
  each_record(file, [&](JsonReader& record) {
    return decode ? decoded(source, record) : encoded(source, !no_special, record);
  });
  return static_cast<int>(Exit::done);
}

}  // namespace lomo::app

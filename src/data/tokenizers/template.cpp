#include "template.h"

#include <string>

#include "stage.h"

namespace lomo::tokenizers {

namespace {

std::vector<std::int32_t> ids_of(JsonReader& tokens, std::string const& name) {
  auto token = tokens.object(name);
  if (!token) tokens.fail(name, "a token of /single that is not described here");
  std::vector<std::int64_t> wide;
  token->require("ids");
  token->get("ids", wide, Range<std::int64_t>{0, Pieces::kLargestId});
  return {wide.begin(), wide.end()};
}

Template read_single(JsonReader& reader) {
  Template out;
  reader.require("single");
  static const Json kNone = Json::object();
  auto given = optional_object(reader, "special_tokens");
  JsonReader tokens = given ? *given
                            : JsonReader(kNone, reader.where(), reader.exit(),
                                         reader.pointer() + "/special_tokens");
  bool text_seen = false;
  for (JsonReader& step : reader.objects("single")) {
    if (auto text = step.object("Sequence")) {
      std::string which;
      text->get("id", which);
      if (which != "A" || text_seen) text->fail("id", "one text, \"A\", has its place here");
      text_seen = true;
    } else {
      step.require("SpecialToken");
      std::string name;
      JsonReader token = *step.object("SpecialToken");
      token.require("id");
      token.get("id", name);
      std::vector<std::int32_t>& side = text_seen ? out.after : out.before;
      for (const std::int32_t id : ids_of(tokens, name)) side.push_back(id);
    }
    step.finish();
  }
  if (!text_seen) reader.fail("single", "the text has no place in it");
  reader.raw("pair");
  return out;
}

}  // namespace

Template read_template(JsonReader reader) {
  Template out;
  switch (stage_type(reader, "post-processor", {"Sequence", "ByteLevel", "TemplateProcessing"})) {
    case 0:
      for (JsonReader& stage : reader.objects("processors")) {
        const Template inner = read_template(std::move(stage));
        out.before.insert(out.before.begin(), inner.before.begin(), inner.before.end());
        out.after.insert(out.after.end(), inner.after.begin(), inner.after.end());
      }
      break;
    case 1: {
      bool unused = true;  // offsets, which are not kept
      for (char const* key : {"add_prefix_space", "trim_offsets", "use_regex"}) {
        reader.get(key, unused);
      }
      break;
    }
    default:
      out = read_single(reader);
      break;
  }
  reader.finish();
  return out;
}

}  // namespace lomo::tokenizers

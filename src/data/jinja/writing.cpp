#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "characters.h"
#include "value.h"

namespace lomo::jinja {

std::string number_text(double number) {
  if (std::isnan(number)) return "nan";
  if (std::isinf(number)) return number < 0 ? "-inf" : "inf";
  char buffer[40];
  const auto shortest =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::scientific);
  const std::string text(buffer, shortest.ptr);
  const int exponent = std::stoi(text.substr(text.find('e') + 1));
  if (exponent < -4 || exponent >= 16) return text;
  const auto fixed =
      std::to_chars(buffer, buffer + sizeof buffer, number, std::chars_format::fixed);
  std::string plain(buffer, fixed.ptr);
  return plain.find('.') == std::string::npos ? plain + ".0" : plain;
}

namespace {

std::string hexadecimal(char const* format, char32_t c) {
  char code[16];
  std::snprintf(code, sizeof code, format, static_cast<unsigned>(c));
  return code;
}

std::string python_quoted(std::string_view text) {
  const bool apostrophe = text.find('\'') != std::string::npos;
  const char quote = apostrophe && text.find('"') == std::string::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    if (c == static_cast<unsigned char>(quote) || c == '\\') {
      out += '\\';
      append_character(out, c);
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (is_printable(c)) {
      append_character(out, c);
    } else {
      out += hexadecimal(c < 0x100 ? "\\x%02x" : c < 0x10000 ? "\\u%04x" : "\\U%08x", c);
    }
  }
  return out + quote;
}

std::string json_quoted(std::string_view text, bool ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_character(text, at);
    static constexpr std::string_view kSpecial = "\"\\\n\r\t\b\f", kWritten = "\"\\nrtbf";
    const std::size_t which =
        c < 0x80 ? kSpecial.find(static_cast<char>(c)) : std::string_view::npos;
    if (which != std::string_view::npos) {
      out += '\\';
      out += kWritten[which];
    } else if (c >= 0x20 && (c < 0x7f || !ascii)) {
      append_character(out, c);
    } else if (c == 0x7f) {
      out += '\x7f';
    } else if (c < 0x10000) {
      out += hexadecimal("\\u%04x", c);
    } else {
      out += hexadecimal("\\u%04x", 0xd800 + ((c - 0x10000) >> 10));
      out += hexadecimal("\\u%04x", 0xdc00 + ((c - 0x10000) & 0x3ff));
    }
  }
  return out + '"';
}

class JsonWriter {
 public:
  JsonWriter(Arena& arena, JsonStyle const& style) : arena_(arena), style_(style) {}

  std::string write(Value const& value) {
    put(value, 1);
    return std::move(out_);
  }

 private:
  void put(Value const& value, int level) {
    arena_.spend(1);
    if (std::string const* text = text_of(value)) {
      add(json_quoted(*text, style_.ascii));
    } else if (Items const* items = items_of(value); items != nullptr && is_array(*items)) {
      put_array(items->values, level);
    } else if (Dict const* dict = dict_of(value)) {
      put_object(*dict, level);
    } else {
      add(scalar(value));
    }
  }

  static bool is_array(Items const& items) {
    return items.kind == Items::Kind::list || items.kind == Items::Kind::tuple;
  }

  static std::string scalar(Value const& value) {
    if (std::holds_alternative<None>(value)) return "null";
    if (auto const* boolean = get<bool>(value)) return *boolean ? "true" : "false";
    if (auto const* integer = get<std::int64_t>(value)) return std::to_string(*integer);
    if (auto const* number = get<double>(value)) {
      if (std::isnan(*number)) return "NaN";
      if (std::isinf(*number)) return *number < 0 ? "-Infinity" : "Infinity";
      return number_text(*number);
    }
    throw Fault("a value of type " + type_name(value) + " cannot be written as JSON");
  }

  std::string key(Value const& value) const {
    std::string const* text = text_of(value);
    if (text == nullptr && items_of(value) != nullptr) {
      throw Fault("a value of type " + type_name(value) + " cannot be a key in JSON");
    }
    return json_quoted(text != nullptr ? *text : scalar(value), style_.ascii);
  }

  void put_array(std::vector<Value> const& values, int level) {
    add("[");
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (i > 0) add(style_.item_separator);
      line(level);
      put(values[i], level + 1);
    }
    if (!values.empty()) line(level - 1);
    add("]");
  }

  void put_object(Dict const& dict, int level) {
    auto members = dict.members;
    if (style_.sort_keys) {
      std::stable_sort(members.begin(), members.end(), [&](auto const& a, auto const& b) {
        return order(arena_, a.first, b.first, "<") < 0;
      });
    }
    add("{");
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) add(style_.item_separator);
      line(level);
      add(key(members[i].first));
      add(style_.key_separator);
      put(members[i].second, level + 1);
    }
    if (!members.empty()) line(level - 1);
    add("}");
  }

  void line(int level) {
    if (!style_.indented) return;
    add("\n");
    for (int i = 0; i < level; ++i) add(style_.indent);
  }

  void add(std::string_view text) {
    arena_.charge(text.size());
    out_ += text;
  }

  Arena& arena_;
  JsonStyle const& style_;
  std::string out_;
};

std::string listed(Arena& arena, Items const& items) {
  const bool tuple = items.kind == Items::Kind::tuple;
  std::string out = tuple ? "(" : "[";
  for (std::size_t i = 0; i < items.values.size(); ++i) {
    if (i > 0) out += ", ";
    out += repr(arena, items.values[i]);
  }
  if (tuple && items.values.size() == 1) out += ",";
  return out + (tuple ? ")" : "]");
}

}  // namespace

std::string to_json_text(Arena& arena, Value const& value, JsonStyle const& style) {
  return JsonWriter(arena, style).write(value);
}

std::string repr(Arena& arena, Value const& value) {
  arena.spend(1);
  std::string out;
  if (std::string const* text = text_of(value)) {
    out = python_quoted(*text);
  } else if (std::holds_alternative<None>(value)) {
    out = "None";
  } else if (auto const* boolean = get<bool>(value)) {
    out = *boolean ? "True" : "False";
  } else if (auto const* integer = get<std::int64_t>(value)) {
    out = std::to_string(*integer);
  } else if (auto const* number = get<double>(value)) {
    out = number_text(*number);
  } else if (is_undefined(value)) {
    out = "Undefined";
  } else if (Dict const* dict = dict_of(value)) {
    out = "{";
    for (auto const& [key, member] : dict->members) {
      if (out.size() > 1) out += ", ";
      out += repr(arena, key) + ": " + repr(arena, member);
    }
    out += "}";
  } else if (Items const* items = items_of(value);
             items != nullptr && items->indexable() && items->kind != Items::Kind::range) {
    out = listed(arena, *items);
  } else {
    throw Fault("a value of type " + type_name(value) + " cannot be written as text");
  }
  arena.charge(out.size());
  return out;
}

std::string to_text(Arena& arena, Value const& value) {
  if (is_undefined(value)) return "";
  if (std::string const* text = text_of(value)) {
    arena.charge(text->size());
    return *text;
  }
  return repr(arena, value);
}

}  // namespace lomo::jinja

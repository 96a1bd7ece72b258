#include "document.h"

#include <optional>
#include <utility>

#include "lomo/io/files.h"

namespace lomo::tokenizers {

namespace {

constexpr std::size_t kDeepest = 64;
constexpr std::size_t kLargestDocument = std::size_t{1} << 30;

/// Builds a Document. The vocabulary and the merges never become a tree: a file may hold a million
/// of them.
class Builder : public JsonEvents {
 public:
  explicit Builder(Document& document) : document_(document) {}

  bool null() override { return value(Json()); }
  bool boolean(bool given) override { return value(given); }
  bool number_integer(number_integer_t given) override { return number(given, given); }
  bool number_unsigned(number_unsigned_t given) override {
    constexpr number_unsigned_t kTooLarge = number_unsigned_t{Pieces::kLargestId} + 1;
    return number(given, static_cast<std::int64_t>(std::min(given, kTooLarge)));
  }
  bool number_float(number_float_t given, string_t const&) override {
    if (zone_ == Zone::vocab) fail("/model/vocab/" + key_, "is not a token id");
    return value(given);
  }
  bool binary(binary_t&) override { return false; }  // JSON texts have none

  bool string(string_t& given) override {
    switch (zone_) {
      case Zone::merges:
        if (depth_ == kMergesDepth) {
          merge(given);
        } else {
          if (halves_ == 0) left_ = given;
          if (halves_ == 1) right_ = given;
          ++halves_;
        }
        return true;
      case Zone::vocab:
        fail("/model/vocab/" + key_, "is a text; it must be a token id");
      default:
        return value(given);
    }
  }

  bool key(string_t& given) override {
    key_ = given;
    return true;
  }

  bool start_object(std::size_t) override {
    deeper();
    if (zone_ == Zone::rest && at_model("merges")) fail("/model/merges", "must be a list");
    if (zone_ == Zone::rest && at_model("vocab")) {
      zone_ = Zone::vocab;
    } else if (zone_ == Zone::rest) {
      open_.push_back(place(Json::object()));
    } else if (zone_ != Zone::skipped) {
      fail_in_zone("an object");
    }
    return true;
  }

  bool end_object() override {
    --depth_;
    if (zone_ == Zone::vocab) {
      zone_ = Zone::rest;
    } else if (zone_ == Zone::rest) {
      open_.pop_back();
    }
    return true;
  }

  bool start_array(std::size_t) override {
    deeper();
    if (zone_ == Zone::rest && at_model("merges")) {
      zone_ = Zone::merges;
    } else if (zone_ == Zone::rest && at_model("vocab")) {  // of a Unigram model, refused later
      zone_ = Zone::skipped;
      skipped_depth_ = depth_;
    } else if (zone_ == Zone::rest) {
      open_.push_back(place(Json::array()));
    } else if (zone_ == Zone::merges && depth_ == kMergesDepth + 1) {
      halves_ = 0;
    } else if (zone_ != Zone::skipped) {
      fail_in_zone("a list");
    }
    return true;
  }

  bool end_array() override {
    if (zone_ == Zone::merges && depth_ == kMergesDepth + 1) {
      if (halves_ != 2) fail_merge();
      document_.merges.add(left_, right_);
    } else if (zone_ == Zone::merges || (zone_ == Zone::skipped && depth_ == skipped_depth_)) {
      zone_ = Zone::rest;
    } else if (zone_ == Zone::rest) {
      open_.pop_back();
    }
    --depth_;
    return true;
  }

 private:
  enum class Zone { rest, vocab, merges, skipped };
  static constexpr std::size_t kMergesDepth = 3;  // of what is in /model/merges

  [[noreturn]] void fail(std::string const& pointer, std::string const& message) const {
    throw Error(Exit::data, document_.where + ": " + pointer + ": " + message);
  }
  [[noreturn]] void fail_merge() const {
    fail("/model/merges/" + std::to_string(document_.merges.size()),
         "must be two pieces with one space between, or a list of two pieces");
  }
  [[noreturn]] void fail_in_zone(std::string const& found) const {
    if (zone_ == Zone::merges) fail_merge();
    fail("/model/vocab/" + key_, "is " + found + "; it must be a token id");
  }

  void deeper() {
    if (++depth_ > kDeepest) {
      throw Error(Exit::data, document_.where + ": nested more than " + std::to_string(kDeepest) +
                                  " levels deep");
    }
  }

  /// Whether what begins now is /model/<name>.
  bool at_model(std::string_view name) const {
    return depth_ == 3 && open_.size() == 2 && open_.front()->is_object() && key_ == name &&
           open_.front()->contains("model") && open_.back() == &(*open_.front())["model"];
  }

  /// Where a value of the tree goes: under the key of the object that is open, or at the end of the
  /// list that is.
  Json* place(Json given) {
    if (open_.empty()) {
      document_.rest = std::move(given);
      return &document_.rest;
    }
    Json& into = *open_.back();
    if (into.is_array()) {
      into.push_back(std::move(given));
      return &into.back();
    }
    if (into.contains(key_)) {
      throw Error(Exit::data, document_.where + ": the key \"" + key_ + "\" is there twice");
    }
    return &(into[key_] = std::move(given));
  }

  bool value(Json given) {
    if (zone_ == Zone::rest) {
      place(std::move(given));
    } else if (zone_ != Zone::skipped) {
      fail_in_zone(given.dump());
    }
    return true;
  }

  bool number(Json given, std::int64_t id) {
    if (zone_ != Zone::vocab) return value(std::move(given));
    if (id < 0 || id > Pieces::kLargestId) {
      fail("/model/vocab/" + key_, "the id " + given.dump() + " is not between 0 and " +
                                       std::to_string(Pieces::kLargestId));
    }
    if (!document_.vocab.add(key_, static_cast<std::int32_t>(id))) {
      const bool taken = document_.vocab.has(static_cast<std::int32_t>(id));
      fail("/model/vocab/" + key_,
           taken ? "its id " + std::to_string(id) + " is that of \"" +
                       std::string(document_.vocab[static_cast<std::int32_t>(id)]) + "\" too"
                 : "this piece is there twice");
    }
    return true;
  }

  void merge(std::string const& text) {
    const std::size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) fail_merge();
    document_.merges.add(std::string_view(text).substr(0, space),
                         std::string_view(text).substr(space + 1));
  }

  Document& document_;
  Zone zone_ = Zone::rest;
  std::size_t depth_ = 0;
  std::size_t skipped_depth_ = 0;
  std::vector<Json*> open_;  // objects and lists of the tree
  std::string key_;          // the last one
  std::string left_, right_;
  int halves_ = 0;
};

}  // namespace

void MergeList::add(std::string_view left, std::string_view right) {
  pairs_.push_back({text_.size(), static_cast<std::uint32_t>(left.size()),
                    static_cast<std::uint32_t>(right.size())});
  text_ += left;
  text_ += right;
}
std::string_view MergeList::left(std::size_t i) const {
  return joined(i).substr(0, pairs_[i].left);
}
std::string_view MergeList::right(std::size_t i) const {
  return joined(i).substr(pairs_[i].left);
}
std::string_view MergeList::joined(std::size_t i) const {
  Pair const& pair = pairs_[i];
  return {text_.data() + pair.begin, std::size_t{pair.left} + pair.right};
}

Document parse_document(std::string_view text, std::string const& where) {
  Document document;
  document.where = where;
  Builder builder(document);
  scan_json(text, where, Exit::data, builder);
  return document;
}

Document read_document(std::filesystem::path const& file) {
  return parse_document(read_file(file, Exit::data, kLargestDocument), file.string());
}

}  // namespace lomo::tokenizers

#pragma once
#include <array>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lomo/io/json.h"

namespace lomo::tokenizers {

/// A token that is found in texts as it is written, before anything else is done to them.
struct AddedToken {
  std::string content;
  std::int32_t id = 0;
  bool special = false;      // controls a model; a text does not mean it unless told so
  bool single_word = false;  // not inside of a word
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // and after it
  bool normalized = false;   // is looked for after normalizing
};

/// Reads all of an entry of a file but the id.
void read_added_token(JsonReader& entry, AddedToken& token);

/// A stretch of text, or a token in place of one.
struct Stretch {
  std::size_t begin, end;
  std::int32_t id;  // -1: text
};

/// Finds the longest of some tokens at the first place where one stands, again and again.
class TokenFinder {
 public:
  /// `written` is what stands for the token in texts; not empty. Of equal ones the later counts.
  void add(std::string_view written, AddedToken const& token);
  bool empty() const { return tokens_.empty(); }

  /// Parts a text into tokens and what stands between. Without `special`, special tokens are text.
  void part(std::string_view text, bool special, std::vector<Stretch>& out) const;
  /// The index of the first token at or after `from`, as it is written; false when there is none.
  bool find(std::string_view text, std::size_t from, Stretch& found) const;
  /// Whether a text may be cut between two characters, the left one no white space: no token has
  /// both side by side, nor ends with the left one.
  bool may_cut(char32_t left, char32_t right) const {
    return !last_.contains(left) && !neighbours_.contains({left, right});
  }
  AddedToken const& token(std::int32_t index) const {
    return tokens_[static_cast<std::size_t>(index)];
  }

 private:
  /// A tree of bytes; the children of a node are a list.
  struct Node {
    std::uint32_t sibling = 0, child = 0;  // 0: none
    std::int32_t token = -1;               // the index of the one that ends here
    char byte = 0;
  };
  std::uint32_t child(std::uint32_t node, char byte) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_ = std::vector<Node>(1);  // the root first
  std::array<std::uint32_t, 256> first_{};          // the children of the root
  std::set<char32_t> last_;                         // characters of tokens
  std::set<std::pair<char32_t, char32_t>> neighbours_;
};

}  // namespace lomo::tokenizers

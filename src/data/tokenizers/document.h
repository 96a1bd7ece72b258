#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/io/json.h"
#include "pieces.h"

namespace lomo::tokenizers {

/// The merges of a BPE model, first ones first: pairs of pieces.
class MergeList {
 public:
  void add(std::string_view left, std::string_view right);
  std::size_t size() const { return pairs_.size(); }
  std::string_view left(std::size_t i) const;
  std::string_view right(std::size_t i) const;
  /// Both, side by side.
  std::string_view joined(std::size_t i) const;

 private:
  struct Pair {
    std::size_t begin;
    std::uint32_t left, right;  // lengths
  };
  std::string text_;
  std::vector<Pair> pairs_;
};

/// A tokenizer.json as read: the vocabulary and the merges in flat tables, all else as a tree.
struct Document {
  std::string where;  // the file's name, for messages
  Json rest;          // without /model/vocab and /model/merges
  Pieces vocab;
  MergeList merges;
};

/// Throws Error(Exit::data) that names the file and the place in it: what is no JSON, keys that are
/// there twice, ids that are there twice or beyond Pieces::kLargestId, merges that are no pair.
Document read_document(std::filesystem::path const& file);
Document parse_document(std::string_view text, std::string const& where);

}  // namespace lomo::tokenizers

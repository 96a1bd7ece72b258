#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace lomo {

/// One question of a task, before tokenisation. `prompt` is everything that carries no loss; it is
/// followed directly by one of `candidates`.
struct Example {
  std::string id;  // as the task's files name it, for predictions
  std::string prompt;
  std::size_t passage_begin = 0;        // the part of `prompt` that truncation may cut,
  std::size_t passage_end = 0;          // bytes [begin, end)
  std::vector<std::string> candidates;  // empty for free text
  std::int64_t gold = -1;               // index into candidates; -1 unknown (test files)
  std::string answer;                   // training target; candidates[gold] for tasks
  std::vector<std::string> accepted;    // every text that counts as right (ReCoRD only)
  std::string group;  // questions scored together (MultiRC question, ReCoRD query)
  std::string where;  // "val.jsonl:17", for messages
};

/// Token ids of a prompt with one answer and eos, encoded jointly, and where the loss begins.
struct EncodedAnswer {
  std::vector<std::int32_t> ids;
  std::size_t loss_from = 0;  // index of the first id that carries loss
  bool truncated = false;
  bool joined_space = false;  // the prompt ends in a space that the answer's first token takes in
};

}  // namespace lomo

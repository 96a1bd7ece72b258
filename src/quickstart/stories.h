#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace lomo::quickstart {

// A small world in which fine-tuning can be seen to work. Adjectives, feelings and actions are good
// or bad words; nothing says which, but a story is about one person and wholly good or wholly bad,
// so whoever reads many stories can tell. The questions ask just that, and are answered by Yes or
// No.

/// One-paragraph stories of three to five sentences with all the words.
std::vector<std::string> make_stories(std::int64_t count, std::uint64_t seed,
                                      std::string const& set);

/// A reading task in the form of BoolQ.
struct Question {
  std::string passage;   // one or two sentences of one kind
  std::string question;  // "did Ann have a good time?", or bad, by a coin of its own
  bool label = false;
};
/// `held_out` questions use other names, adjectives, feelings and actions than the others, two
/// fifths of each list: what decides them can only have been learnt from stories. Since whether a
/// question says good or bad is a coin, neither passage nor question alone tells the answer.
std::vector<Question> make_questions(std::int64_t count, bool held_out, std::uint64_t seed);

/// The words that tell good from bad, of one side of the split. For tests.
std::vector<std::string> telling_words(bool held_out);

}  // namespace lomo::quickstart

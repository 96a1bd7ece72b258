#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "stories.h"
#include "support/catch.h"

using namespace lomo::quickstart;
using Words = std::set<std::string>;

namespace {

Words words_of(std::string const& text) {
  std::string letters = text;
  for (char& c : letters) {
    if (std::string(".,:?\"").find(c) != std::string::npos) c = ' ';
  }
  std::istringstream in(letters);
  Words words;
  for (std::string word; in >> word;) words.insert(word);
  return words;
}

bool meet(Words const& a, std::vector<std::string> const& b) {
  return std::any_of(b.begin(), b.end(), [&](std::string const& word) { return a.contains(word); });
}

}  // namespace

TEST_CASE("No word that decides a held-out question occurs in a fine-tuning example") {
  const auto training = telling_words(false);
  const auto held_out = telling_words(true);
  for (std::string const& word : held_out) {
    CHECK(std::find(training.begin(), training.end(), word) == training.end());
  }
  for (Question const& q : make_questions(1000, false, 1)) {
    REQUIRE(meet(words_of(q.passage), training));
    REQUIRE_FALSE(meet(words_of(q.passage), held_out));
  }
  for (Question const& q : make_questions(500, true, 1)) {
    REQUIRE(meet(words_of(q.passage), held_out));
    REQUIRE_FALSE(meet(words_of(q.passage), training));
  }
}

TEST_CASE("Neither passage nor question alone tells the answer") {
  int yes = 0;
  int yes_of_good = 0;
  int good = 0;
  const int count = 4000;
  for (Question const& q : make_questions(count, false, 5)) {
    const bool asks_good = q.question.find(" good ") != std::string::npos;
    CHECK(asks_good != (q.question.find(" bad ") != std::string::npos));
    yes += q.label ? 1 : 0;
    good += asks_good ? 1 : 0;
    yes_of_good += asks_good && q.label ? 1 : 0;
  }
  // Fair coins: five standard deviations of 4000 (2000) throws are 158 (112).
  CHECK(std::abs(yes - count / 2) < 158);
  CHECK(std::abs(good - count / 2) < 158);
  CHECK(std::abs(yes_of_good - good / 2) < 112);
}

TEST_CASE("Stories and questions are a seed's own") {
  CHECK(make_stories(50, 3, "training") == make_stories(50, 3, "training"));
  CHECK(make_stories(50, 3, "training") != make_stories(50, 4, "training"));
  CHECK(make_stories(50, 3, "training") != make_stories(50, 3, "held out"));
  CHECK(make_questions(5, true, 3)[4].passage == make_questions(5, true, 3)[4].passage);
}

TEST_CASE("Stories use every word and the right article") {
  Words seen;
  int talks = 0;
  for (std::string const& story : make_stories(4000, 1, "training")) {
    const Words words = words_of(story);
    seen.insert(words.begin(), words.end());
    talks += words.contains("asked") ? 1 : 0;
    for (char const* vowel : {" a a", " a e", " a i", " a o", " a u"}) {
      REQUIRE(story.find(vowel) == std::string::npos);
    }
  }
  for (const bool held_out : {false, true}) {
    for (std::string const& word : telling_words(held_out)) CHECK(seen.contains(word));
  }
  CHECK(talks > 1000);
}

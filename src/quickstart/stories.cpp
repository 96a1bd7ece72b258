#include "stories.h"

#include <span>

#include "lomo/core/random.h"

namespace lomo::quickstart {

namespace {

using Words = std::vector<std::string>;

/// The words of one kind of fortune.
struct Mood {
  Words adjectives, feelings, actions;
};

Mood const& mood_of(bool good) {
  static const Mood good_mood = {
      {"lovely", "bright",   "sweet",    "fine",     "warm",   "soft",   "pretty",
       "clean",  "fresh",    "splendid", "pleasant", "golden", "gentle", "elegant",
       "shiny",  "charming", "tidy",     "cozy",     "superb", "perfect"},
      {"happy", "glad", "cheerful", "proud", "joyful", "merry", "content", "thrilled", "pleased",
       "amused", "grateful", "delighted"},
      {"smiled", "laughed", "danced", "sang", "cheered", "clapped", "whistled", "grinned"}};
  static const Mood bad_mood = {
      {"nasty",    "dirty", "broken", "rotten", "cruel", "rough",  "harsh",
       "boring",   "sour",  "poor",   "dull",   "grim",  "smelly", "awful",
       "horrible", "rusty", "muddy",  "bleak",  "ugly",  "shabby"},
      {"sad", "angry", "upset", "gloomy", "lonely", "furious", "worried", "ashamed", "annoyed",
       "bitter", "afraid", "miserable"},
      {"cried", "frowned", "sulked", "sighed", "groaned", "sobbed", "grumbled", "wept"}};
  return good ? good_mood : bad_mood;
}

Words const& all_names() {
  static const Words names = {"Ann",  "Ben",   "Clara", "David", "Ella",  "Felix", "Grace", "Henry",
                              "Ivan", "Julia", "Karl",  "Laura", "Mark",  "Nina",  "Oscar", "Paula",
                              "Ralf", "Sarah", "Tom",   "Vera",  "Will",  "Anton", "Berta", "Chris",
                              "Dora", "Emil",  "Frida", "Georg", "Hanna", "Igor",  "Jack",  "Kate",
                              "Leo",  "Mary",  "Noah",  "Olga",  "Peter", "Rosa",  "Simon", "Tina"};
  return names;
}

Words const& places() {
  static const Words words = {"forest",  "village", "bakery", "market", "river",  "school",
                              "castle",  "harbor",  "park",   "beach",  "museum", "library",
                              "station", "farm",    "mill",   "tower",  "bridge", "theater"};
  return words;
}

Words const& things() {
  static const Words words = {"bed",  "garden", "room",  "coat",  "cake",  "hat",   "boat",
                              "cart", "house",  "chair", "table", "lamp",  "shirt", "drum",
                              "kite", "soup",   "bag",   "clock", "horse", "window"};
  return words;
}

/// What one side of the split may use of a list: the first three fifths, the rest, or everything.
enum class Part { all, training, held_out };

std::span<std::string const> part_of(Words const& words, Part part) {
  const std::span<std::string const> all(words);
  const std::size_t border = words.size() * 3 / 5;
  if (part == Part::training) return all.first(border);
  if (part == Part::held_out) return all.subspan(border);
  return all;
}

/// Tells sentences about one person of one fortune.
class Teller {
 public:
  Teller(RandomStream& random, Part part) : random_(random), part_(part) {
    name_ = pick(all_names());
    good_ = coin();
  }

  std::string const& name() const { return name_; }
  bool good() const { return good_; }
  bool coin() { return random_.below(2) == 0; }

  std::string walk() { return name_ + " went to the " + pick_any(places()) + "."; }

  /// The only place of the stories where Yes and No occur; which of them is chance.
  std::string talk() {
    std::string other = name_;
    while (other == name_) other = pick(all_names());
    return name_ + " asked: \"Is this the " + pick_any(places()) + "?\" " + other + " said: \"" +
           (coin() ? "Yes" : "No") + ".\"";
  }

  std::string sentence() {
    Mood const& mood = mood_of(good_);
    const std::string a = pick(mood.adjectives);
    std::string b = a;
    while (b == a) b = pick(mood.adjectives);
    const std::string thing = pick_any(things());
    const std::string feeling = pick(mood.feelings);
    const std::string action = pick(mood.actions);
    switch (random_.below(9)) {
      case 0:
        return name_ + " had " + with_article(a) + " and " + b + " " + thing + ".";
      case 1:
        return name_ + " got " + with_article(a) + ", " + b + " " + thing + ".";
      case 2:
        return "The " + thing + " of " + name_ + " was " + a + " and " + b + ".";
      case 3:
        return name_ + " found the " + thing + " " + a + " and " + b + ".";
      case 4:
        return name_ + " was " + feeling + " because the " + thing + " was " + a + ".";
      case 5:
        return "The " + thing + " was " + a + ", so " + name_ + " " + action + ".";
      case 6:
        return name_ + " saw the " + a + " " + thing + " and " + action + ".";
      case 7:
        return name_ + " was " + feeling + " and " + action + ".";
      default:
        return name_ + " " + action + " and felt " + feeling + ".";
    }
  }

 private:
  static std::string with_article(std::string const& word) {
    const bool vowel = std::string("aeiou").find(word[0]) != std::string::npos;
    return (vowel ? "an " : "a ") + word;
  }
  std::string const& pick(Words const& words) {
    const auto choice = part_of(words, part_);
    return choice[random_.below(choice.size())];
  }
  std::string const& pick_any(Words const& words) { return words[random_.below(words.size())]; }

  RandomStream& random_;
  Part part_;
  std::string name_;
  bool good_ = false;
};

}  // namespace

std::vector<std::string> make_stories(std::int64_t count, std::uint64_t seed,
                                      std::string const& set) {
  RandomStream random(random_key(seed, "stories", set, 0));
  std::vector<std::string> stories;
  for (std::int64_t i = 0; i < count; ++i) {
    Teller teller(random, Part::all);
    std::string story;
    if (random.below(10) < 7) story = (teller.coin() ? teller.walk() : teller.talk()) + " ";
    for (std::uint64_t left = 3 + random.below(3); left > 0; --left) {
      story += teller.sentence() + (left > 1 ? " " : "");
    }
    stories.push_back(story);
  }
  return stories;
}

std::vector<Question> make_questions(std::int64_t count, bool held_out, std::uint64_t seed) {
  RandomStream random(random_key(seed, "questions", held_out ? "held out" : "training", 0));
  std::vector<Question> questions;
  for (std::int64_t i = 0; i < count; ++i) {
    Teller teller(random, held_out ? Part::held_out : Part::training);
    Question question;
    if (teller.coin()) question.passage = teller.walk() + " ";
    question.passage += teller.sentence();
    if (teller.coin()) question.passage += " " + teller.sentence();
    const bool asks_good = teller.coin();
    question.question =
        "did " + teller.name() + " have a " + (asks_good ? "good" : "bad") + " time?";
    question.label = asks_good == teller.good();
    questions.push_back(question);
  }
  return questions;
}

std::vector<std::string> telling_words(bool held_out) {
  std::vector<std::string> words;
  for (const bool good : {true, false}) {
    Mood const& mood = mood_of(good);
    for (Words const* list : {&mood.adjectives, &mood.feelings, &mood.actions}) {
      const auto part = part_of(*list, held_out ? Part::held_out : Part::training);
      words.insert(words.end(), part.begin(), part.end());
    }
  }
  return words;
}

}  // namespace lomo::quickstart

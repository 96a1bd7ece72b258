#include "lomo/data/metrics.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "lomo/core/error.h"
#include "text.h"

namespace lomo {

namespace {

struct Judged {
  Example const* example;
  std::int64_t prediction;
  bool right() const { return prediction == example->gold; }
  std::string const& text() const {
    return example->candidates[static_cast<std::size_t>(prediction)];
  }
};

/// 2 tp / (2 tp + fp + fn) of one class; 0 where the class is neither true nor predicted.
double f1_of_class(std::vector<Judged> const& all, std::int64_t label) {
  std::int64_t hits = 0;
  std::int64_t named = 0;  // predicted or true, both counted
  for (Judged const& one : all) {
    hits += one.right() && one.prediction == label ? 1 : 0;
    named += (one.prediction == label ? 1 : 0) + (one.example->gold == label ? 1 : 0);
  }
  return named == 0 ? 0.0 : 2.0 * static_cast<double>(hits) / static_cast<double>(named);
}

/// Mean of the classes' F1 over the classes that occur.
double macro_f1(std::vector<Judged> const& all) {
  std::set<std::int64_t> classes;
  for (Judged const& one : all) classes.insert({one.prediction, one.example->gold});
  double sum = 0.0;
  for (std::int64_t label : classes) sum += f1_of_class(all, label);
  return sum / static_cast<double>(classes.size());
}

double share_of_whole_groups(std::vector<Judged> const& all) {
  std::map<std::string, bool> groups;
  for (Judged const& one : all) {
    const auto [it, added] = groups.try_emplace(one.example->group, true);
    it->second = it->second && one.right();
  }
  const auto whole =
      std::count_if(groups.begin(), groups.end(), [](auto const& group) { return group.second; });
  return static_cast<double>(whole) / static_cast<double>(groups.size());
}

/// The mean over examples of the best value that `measure` finds among the accepted texts.
double mean_of_best(std::vector<Judged> const& all,
                    double (*measure)(std::string_view, std::string_view)) {
  double sum = 0.0;
  for (Judged const& one : all) {
    double best = 0.0;
    for (std::string const& accepted : one.example->accepted) {
      best = std::max(best, measure(one.text(), accepted));
    }
    sum += best;
  }
  return sum / static_cast<double>(all.size());
}

double exact(std::string_view prediction, std::string_view accepted) {
  return exact_match(prediction, accepted) ? 1.0 : 0.0;
}

bool is_article(std::string_view word) {
  return word == "a" || word == "an" || word == "the";
}

/// Words of a text as ReCoRD compares them. Bytes beyond ASCII belong to words.
std::vector<std::string> normal_words(std::string_view text) {
  std::vector<std::string> words(1);
  for (const char c : text) {
    if (is_space(c)) {
      words.emplace_back();
    } else if (c >= 'A' && c <= 'Z') {
      words.back().push_back(static_cast<char>(c - 'A' + 'a'));
    } else if (c < '!' || c > '~' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z')) {
      words.back().push_back(c);  // the rest of ASCII is punctuation
    }
  }
  std::erase_if(words, [](std::string const& word) { return word.empty() || is_article(word); });
  return words;
}

}  // namespace

std::int64_t best_candidate(std::span<double const> scores, std::string const& where) {
  if (scores.empty()) throw Error(Exit::diverged, where + ": no candidate was scored");
  for (double score : scores) {
    if (std::isnan(score)) {
      throw Error(Exit::diverged, where +
                                      ": a candidate's log-probability is not a number; the "
                                      "model has diverged");
    }
  }
  return std::max_element(scores.begin(), scores.end()) - scores.begin();
}

std::vector<std::string> metric_names(std::string const& task) {
  if (task == "jsonl" || task == "chat") return {"loss", "perplexity", "exact_match"};
  if (task == "text" || task == "ids") return {"loss", "perplexity"};
  if (task == "cb") return {"score", "accuracy", "f1"};
  if (task == "multirc") return {"score", "accuracy", "f1a", "em"};
  if (task == "record") return {"score", "accuracy", "f1", "em"};
  return {"accuracy"};
}

bool smaller_is_better(std::string const& metric) {
  return metric == "loss" || metric == "perplexity";
}

double token_f1(std::string_view prediction, std::string_view accepted) {
  const std::vector<std::string> ours = normal_words(prediction);
  const std::vector<std::string> theirs = normal_words(accepted);
  std::map<std::string, std::int64_t> counts;
  for (std::string const& word : theirs) ++counts[word];
  std::int64_t common = 0;
  for (std::string const& word : ours) common += counts[word]-- > 0 ? 1 : 0;
  if (common == 0) return 0.0;
  return 2.0 * static_cast<double>(common) / static_cast<double>(ours.size() + theirs.size());
}

bool exact_match(std::string_view prediction, std::string_view accepted) {
  return normal_words(prediction) == normal_words(accepted);
}

TaskScore score_task(Task task, std::span<Example const> examples,
                     std::span<std::int64_t const> predictions) {
  std::vector<Judged> all;
  for (std::size_t i = 0; i < examples.size(); ++i) {
    if (examples[i].gold >= 0) all.push_back({&examples[i], predictions[i]});
  }
  TaskScore score;
  score.scored = static_cast<std::int64_t>(all.size());
  if (all.empty()) return score;
  const auto right =
      std::count_if(all.begin(), all.end(), [](Judged const& one) { return one.right(); });
  const double accuracy = static_cast<double>(right) / static_cast<double>(all.size());
  score.values = {{"accuracy", accuracy}};
  score.headline = accuracy;
  const auto official = [&](std::string const& first, double a, std::string const& second,
                            double b) {
    if (first != "accuracy") score.values.push_back({first, a});
    score.values.push_back({second, b});
    score.headline = (a + b) / 2.0;
  };
  if (task == Task::cb) official("accuracy", accuracy, "f1", macro_f1(all));
  if (task == Task::multirc) official("f1a", f1_of_class(all, 1), "em", share_of_whole_groups(all));
  if (task == Task::record) {
    official("f1", mean_of_best(all, token_f1), "em", mean_of_best(all, exact));
  }
  return score;
}

}  // namespace lomo

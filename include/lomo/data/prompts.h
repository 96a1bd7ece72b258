#pragma once
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "lomo/data/example.h"

namespace lomo {

/// The eight tasks of SuperGLUE.
enum class Task { boolq, cb, copa, multirc, record, rte, wic, wsc };

/// "BoolQ", "CB", ... as the benchmark's folders are called.
std::string_view to_string(Task task);
/// Inverse of to_string, in any case. Throws Error(Exit::usage) listing the tasks.
Task parse_task(std::string_view name);
/// Labels in index order, as the task's files write them; none for ReCoRD.
std::vector<std::string> const& task_labels(Task task);

using Fields = std::map<std::string, std::string>;

/// A text with {field} placeholders; {{ and }} stand for braces.
class Template {
 public:
  /// Throws Error(Exit::usage) beginning with `place` at a brace that has no partner.
  Template(std::string_view text, std::string const& place);
  std::vector<std::string> const& fields() const { return fields_; }
  std::string render(Fields const& values) const;
  /// render() into example.prompt, with the bytes of field `passage` marked as what truncation may
  /// cut (all of it when `passage` is empty).
  void render(Fields const& values, std::string_view passage, Example& example) const;

 private:
  // literals_[0] fields_[0] literals_[1] fields_[1] ... literals_.back()
  std::vector<std::string> literals_;
  std::vector<std::string> fields_;
};

/// How a task is put into words.
struct Wording {
  Template prompt;
  std::string passage;               // field that truncation may cut; empty: all of the prompt
  std::vector<Template> candidates;  // by label; none for ReCoRD, whose candidates are its entities
  std::map<std::string, Fields> words;  // field -> value in the file -> value in the prompt
};

/// The wording of all tasks, from a file like configs/prompts/superglue.json. Throws
/// Error(Exit::usage) naming file and JSON pointer: unknown tasks, keys, fields or labels, missing
/// keys, wrong types.
class Prompts {
 public:
  explicit Prompts(std::filesystem::path const& file);
  /// Throws Error(Exit::usage) when the file has no wording for the task.
  Wording const& of(Task task) const;

 private:
  std::string file_;
  std::map<Task, Wording> wordings_;
};

}  // namespace lomo

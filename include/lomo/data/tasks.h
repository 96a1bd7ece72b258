#pragma once
#include <filesystem>
#include <vector>

#include "lomo/data/example.h"
#include "lomo/data/prompts.h"

namespace lomo {

/// Reads a task's official JSONL file. One Example a question: an answer of MultiRC, a query of
/// ReCoRD, a line of the others. Records without a label (test files) have gold -1. A broken line
/// or a field that is missing or of the wrong type throws Error(Exit::data) naming file:line and
/// field; so does a file without records.
///
/// Example::id is the record's idx ("paragraph:question:answer" for MultiRC, the query's idx for
/// ReCoRD); Example::group is "paragraph:question" for MultiRC. ReCoRD's candidates are the
/// distinct entities of the passage without the answers after the first one, as in the published
/// code.
std::vector<Example> read_examples(Task task, std::filesystem::path const& file,
                                   Prompts const& prompts);

}  // namespace lomo

#pragma once
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "json_model.h"

namespace lomo::tokenizers {

/// What one thread needs while it encodes or decodes.
struct JsonModel::Scratch {
  RegexScratch regex;
  Bpe::Scratch bpe;
  Words words;
  std::string normal;
  std::vector<Stretch> stretches, inner;
};

/// A Scratch that is this thread's until the end of a call.
class JsonModel::Lease {
 public:
  explicit Lease(JsonModel const& model) : model_(model) {
    const std::lock_guard lock(model_.mutex_);
    if (!model_.idle_.empty()) {
      scratch_ = std::move(model_.idle_.back());
      model_.idle_.pop_back();
    }
    if (!scratch_) scratch_ = std::make_unique<Scratch>();
  }
  ~Lease() {
    const std::lock_guard lock(model_.mutex_);
    model_.idle_.push_back(std::move(scratch_));
  }
  Lease(Lease const&) = delete;  // gives back what it holds
  Scratch& operator*() { return *scratch_; }

 private:
  JsonModel const& model_;
  std::unique_ptr<Scratch> scratch_;
};

}  // namespace lomo::tokenizers

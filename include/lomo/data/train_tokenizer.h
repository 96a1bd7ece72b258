#pragma once
#include <filesystem>
#include <span>
#include <string>

namespace lomo {

/// Trains a LLaMA-like sentencepiece model (BPE with byte fallback, text taken as it is, digits
/// apart; unk 0, bos 1, eos 2) on the lines of `texts` and writes it to `file`. Throws
/// Error(Exit::data) when the library cannot, for instance because there is too little text for
/// `vocabulary` pieces.
void train_tokenizer(std::span<std::string const> texts, int vocabulary,
                     std::filesystem::path const& file);

}  // namespace lomo

// lomo-make-tokenizer: trains a LLaMA-like sentencepiece model on text files.
#include <CLI/CLI.hpp>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "lomo/core/console.h"
#include "lomo/core/error.h"
#include "lomo/data/train_tokenizer.h"
#include "lomo/io/files.h"

int main(int argc, char** argv) {
  lomo::console::hold_closed_streams();
  CLI::App app("Trains a sentencepiece model (BPE with byte fallback) on the lines of text files");
  std::filesystem::path output;
  std::vector<std::filesystem::path> inputs;
  int vocabulary = 1024;
  app.add_option("--output", output, "The tokenizer.model to write")->required();
  app.add_option("--vocab", vocabulary, "Number of pieces")->check(CLI::Range(300, 1 << 20));
  app.add_option("text", inputs, "Text files")->required();
  CLI11_PARSE(app, argc, argv);
  try {
    std::vector<std::string> texts;
    for (auto const& input : inputs) texts.push_back(lomo::read_file(input, lomo::Exit::data));
    lomo::train_tokenizer(texts, vocabulary, output);
    lomo::console::print(std::to_string(vocabulary) + " pieces in " + output.string() + "\n");
  } catch (lomo::Error const& error) {
    std::cerr << "lomo-make-tokenizer: " << error.what() << "\n";
    return static_cast<int>(error.code());
  } catch (std::exception const& error) {
    std::cerr << "lomo-make-tokenizer: " << error.what() << "\n";
    return 1;
  }
  return 0;
}

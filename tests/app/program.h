#pragma once
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>
#include <chrono>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "support/catch.h"
#include "support/files.h"

extern char** environ;

/// Running lomo-train from tests.
namespace lomo::test {

/// A folder of its own for each test.
struct Workplace : TemporaryFolder {
  std::string operator/(std::string const& name) const { return (path() / name).string(); }
};

struct ProcessResult {
  int code = -1;
  std::string out, err;
};

/// The program, started without a shell, its output in files of `place`.
class Process {
 public:
  Process(Workplace const& place, std::vector<std::string> arguments)
      : Process(place, LOMO_TRAIN_PROGRAM, std::move(arguments)) {}
  Process(Workplace const& place, std::string const& program, std::vector<std::string> arguments)
      : place_(place) {
    arguments.insert(arguments.begin(), program);
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t files;
    posix_spawn_file_actions_init(&files);
    const int flags = O_WRONLY | O_CREAT | O_TRUNC;
    posix_spawn_file_actions_addopen(&files, 1, (place_ / "stdout").c_str(), flags, 0600);
    posix_spawn_file_actions_addopen(&files, 2, (place_ / "stderr").c_str(), flags, 0600);
    if (posix_spawn(&id_, argv[0], &files, nullptr, argv.data(), environ) != 0) id_ = -1;
    posix_spawn_file_actions_destroy(&files);
  }
  pid_t id() const { return id_; }
  void send(int signal) const { kill(id_, signal); }
  /// Without taking its exit status.
  bool ended() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(id_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == id_;
  }
  /// The code is -1 when a signal ended it.
  ProcessResult wait() const {
    int status = 0;
    ProcessResult result;
    if (id_ > 0 && waitpid(id_, &status, 0) == id_ && WIFEXITED(status)) {
      result.code = WEXITSTATUS(status);
    }
    result.out = slurp(place_ / "stdout");
    result.err = slurp(place_ / "stderr");
    return result;
  }

 private:
  Workplace const& place_;
  pid_t id_ = -1;
};

inline ProcessResult run(Workplace const& place, std::vector<std::string> const& arguments) {
  return Process(place, arguments).wait();
}

/// A program on several ranks, each with arguments of its own, as mpirun takes it.
inline std::vector<std::string> on_ranks(std::vector<std::vector<std::string>> const& each,
                                         std::string const& program = LOMO_TRAIN_PROGRAM) {
  for (char const* root : {"OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"}) {
    setenv(root, "1", 1);  // mpirun asks for both where tests run as root
  }
  std::vector<std::string> all{"--quiet", "--oversubscribe", "--bind-to",
                               "none",    "--mca",           "btl_vader_single_copy_mechanism",
                               "none"};
  for (std::size_t rank = 0; rank < each.size(); ++rank) {
    if (rank > 0) all.emplace_back(":");
    all.insert(all.end(), {"-np", "1", program});
    all.insert(all.end(), each[rank].begin(), each[rank].end());
  }
  return all;
}

inline std::size_t count_lines(std::string const& text, std::string const& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

inline bool contains(std::string const& text, std::string const& part) {
  return text.find(part) != std::string::npos;
}

/// A tiny random model and a few sequences of ids to train it on.
inline void make_model_and_data(Workplace const& place, bool tied = false) {
  std::ofstream(place / "shape.json") << R"({"architectures": ["LlamaForCausalLM"],
    "model_type": "llama", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
    "num_key_value_heads": 1, "intermediate_size": 24, "vocab_size": 32,
    "max_position_embeddings": 64, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
    "hidden_act": "silu", "torch_dtype": "float32", "tie_word_embeddings": )"
                                      << (tied ? "true}" : "false}");
  const ProcessResult made =
      run(place, {"init", "--config", place / "shape.json", "--output", place / "model"});
  INFO(made.err);
  REQUIRE(made.code == 0);
  std::ofstream data(place / "ids.jsonl");
  for (int i = 0; i < 40; ++i) {
    data << "{\"ids\": [1";
    for (int j = 0; j < 5 + i % 7; ++j) data << ", " << 3 + (i * 5 + j * 3) % 29;
    data << ", 2], \"loss_from\": 2}\n";
  }
}

/// Instead of these sequences some of so few tokens that norms come from factors.
inline void write_short_data(Workplace const& place) {
  std::ofstream data(place / "ids.jsonl");
  for (int i = 0; i < 40; ++i) {
    data << "{\"ids\": [1, " << 3 + i % 29 << ", 2], \"loss_from\": 1}\n";
  }
}

/// The optimizer of most runs here.
inline constexpr char const* kLomo = R"({"name": "lomo", "lr": 0.05})";

inline void write_config(Workplace const& place, std::string const& optimizer,
                         std::string const& extra) {
  std::ofstream(place / "run.json")
      << R"({"model": {"path": ")" << place / "model"
      << R"("}, "data": {"task": "ids", "train": ")" << place / "ids.jsonl"
      << R"(", "validation_share": 0.2}, "batch": {"sequences": 4},
      "train": {"epochs": 3, "seed": 7}, "optimizer": )"
      << optimizer << R"(, "schedule": {"warmup": 0.1}, "clip": {"norm": 1.0})" << extra << "}";
}

/// What stands in `text` after `before`, up to `after`; empty when it does not.
inline std::string between(std::string const& text, std::string const& before,
                           std::string const& after) {
  const std::size_t at = text.find(before);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + before.size();
  return text.substr(begin, text.find(after, begin) - begin);
}

/// On the clock of tests that wait.
inline double seconds_since(std::chrono::steady_clock::time_point begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The bytes of every weight of a model folder.
inline std::string weights(std::filesystem::path const& folder) {
  return slurp(folder / "model.safetensors");
}

}  // namespace lomo::test

#pragma once
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "launch.h"
#include "support/data.h"

/// Two machines within this one (machines.sh), left and right, on which tests run what is for
/// several. Their files are the same unless one mounts something over them.
namespace lomo::test {

class Machines {
 public:
  explicit Machines(Workplace const& place) : place_(place) {
    name("left slots=2\nright slots=2\n");
    possible_ = run_script({"up"}) == 0;
  }
  Machines(Machines const&) = delete;  // ends them once
  Machines& operator=(Machines const&) = delete;
  ~Machines() { run_script({"down"}); }

  /// Whether this system lets us make them.
  bool possible() const { return possible_; }
  void cut() const { run_script({"cut"}); }
  /// Runs a shell command on one of them, and waits for it.
  int on(char const* host, std::string const& command) const {
    return run_script({"on", host, command});
  }
  /// Which machines the next start is for; left and right, if nobody says.
  void name(std::string const& hosts) const { std::ofstream(place_ / "hostfile") << hosts; }
  /// scripts/mpirun.sh on the left one, of four ranks on both.
  Process start(Arguments const& arguments) const {
    const std::string agent = std::string(LOMO_MACHINES) + " on " + place_.path().string();
    std::string command =
        "LOMO_TRAIN=" LOMO_TRAIN_PROGRAM " NETWORK=10.71.0.0/24 HOSTFILE=" + (place_ / "hostfile") +
        " OMPI_MCA_plm_rsh_agent='" + agent + "' exec " LOMO_MPIRUN_SCRIPT " 4 " +
        (place_ / "run.json") + " --threads 1";
    for (std::string const& argument : arguments) command += " " + argument;
    return Process(place_, LOMO_MACHINES, {"on", place_.path().string(), "left", command});
  }
  /// The ranks on one of them.
  std::vector<pid_t> ranks_on(char const* host) const {
    namespace fs = std::filesystem;
    std::ifstream file(place_ / ("machine-" + std::string(host)));
    std::string machine;
    file >> machine;
    std::vector<pid_t> ranks;
    std::error_code error;
    const fs::path network = fs::read_symlink("/proc/" + machine + "/ns/net", error);
    for (auto const& entry : fs::directory_iterator("/proc")) {
      std::string name;
      std::ifstream(entry.path() / "comm") >> name;
      if (name != "lomo-train") continue;
      if (fs::read_symlink(entry.path() / "ns/net", error) != network) continue;
      ranks.push_back(std::stoi(entry.path().filename().string()));
    }
    return ranks;
  }

 private:
  int run_script(Arguments arguments) const {
    arguments.insert(arguments.begin() + 1, place_.path().string());
    const Workplace apart;  // for what it says
    return Process(apart, LOMO_MACHINES, arguments).wait().code;
  }

  Workplace const& place_;
  bool possible_ = false;
};

}  // namespace lomo::test

/// First statement of a test with these machines: skips it where they cannot be made.
#define LOMO_NEEDS_MACHINES(machines) \
  if (!(machines).possible()) LOMO_SKIP("namespaces of networks cannot be made here")

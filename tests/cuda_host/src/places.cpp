// Lines of return addresses, by addr2line: only asked when there is something to say.
#include <link.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "watcher.h"

namespace cuda_host {
namespace {

/// How far the program lies from where it was linked to.
std::uintptr_t displacement() {
  std::uintptr_t far = 0;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        *static_cast<std::uintptr_t*>(result) = info->dlpi_addr;
        return 1;  // the program itself comes first
      },
      &far);
  return far;
}

std::string base_name(char const* path) {
  char const* const slash = std::strrchr(path, '/');
  std::string name = slash == nullptr ? path : slash + 1;
  return name.substr(0, name.find_first_of(" \n"));
}

}  // namespace

std::vector<std::string> places_of(std::vector<void const*> const& addresses) {
  char program[4096];
  const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
  std::string command = "addr2line -a -i -e '";
  command.append(program, length > 0 ? static_cast<std::size_t>(length) : 0);
  command += '\'';
  const std::uintptr_t far = displacement();
  std::vector<std::string> places;
  for (void const* p : addresses) {
    char text[32];
    std::snprintf(text, sizeof text, " %#zx", reinterpret_cast<std::uintptr_t>(p) - far - 1);
    command += text;
    places.push_back(text + 1);
  }
  if (addresses.empty()) return places;
  std::FILE* const lines = popen((command + " 2>/dev/null").c_str(), "r");
  if (lines == nullptr) return places;  // the addresses themselves
  char line[4096];
  std::size_t next = 0;
  while (std::fgets(line, sizeof line, lines) != nullptr) {
    if (std::strncmp(line, "0x", 2) == 0) {  // an address, then its lines
      ++next;
      continue;
    }
    if (next == 0 || next > places.size()) break;
    std::string& place = places[next - 1];
    place = place.rfind("0x", 0) == 0 ? base_name(line) : place + " in " + base_name(line);
  }
  pclose(lines);
  return places;
}

}  // namespace cuda_host

#include "lomo/data/encoding_stream.h"

#include <sched.h>

#include <algorithm>

namespace lomo {

int encoding_threads() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  if (sched_getaffinity(0, sizeof cores, &cores) == 0) return std::max(CPU_COUNT(&cores), 1);
  return std::max(static_cast<int>(std::thread::hardware_concurrency()), 1);
}

void append(std::vector<EncodedPart> const& parts, std::int64_t first_item,
            std::span<std::int32_t const> copies, DatasetWriter& out) {
  for (EncodedPart const& part : parts) {
    out.append(part.data, first_item + static_cast<std::int64_t>(part.begin),
               copies.empty() ? copies : copies.subspan(part.begin, part.end - part.begin));
  }
}

}  // namespace lomo

#include "support/source_dir.h"

std::filesystem::path lomo::test::source_dir() {
  return LOMO_SOURCE_DIR;
}

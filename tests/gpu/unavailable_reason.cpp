// Why the tests of this program cannot run on this machine; see support/main.cpp.
#include "lomo/backend/plugin.h"
#include "lomo/core/error.h"
#include "support/data.h"

std::string lomo::test::unavailable_reason() {
  try {
    return open_cuda_plugin().unavailable_reason(0);
  } catch (Error const& error) {
    return error.what();
  }
}

#include "lomo/backend/process_group.h"
#include "lomo/core/error.h"

std::unique_ptr<lomo::ProcessGroup> lomo::make_mpi_process_group() {
  throw Error(Exit::usage,
              "this lomo-train was built without MPI, so it cannot run on several ranks. Install "
              "the packages of third_party/packages.txt and build it again, or start it alone");
}

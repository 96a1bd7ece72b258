# What a plugin shares with the program changes its build id, and nothing else does:
#   cmake -DSOURCE=DIR -DCOPY=DIR -P check_build_id.cmake
include(${SOURCE}/third_party/cmake/LomoBuildId.cmake)
file(REMOVE_RECURSE ${COPY})
file(COPY ${SOURCE}/include ${SOURCE}/kernels DESTINATION ${COPY})
file(COPY ${SOURCE}/src/cuda ${SOURCE}/src/cpu DESTINATION ${COPY}/src)
lomo_build_id(${COPY} 1.0 before)
foreach(file include/lomo/cpu/workspace.h src/cpu/workspace/cpu_workspace.cpp src/cpu/gemm.cpp
             kernels/norm.h)
  file(APPEND ${COPY}/${file} "\n")
  lomo_build_id(${COPY} 1.0 after)
  if(NOT after STREQUAL before)
    message(FATAL_ERROR "a change of ${file} changes the build id of the CUDA plugin")
  endif()
endforeach()
foreach(file include/lomo/backend/backend.h include/lomo/cuda/workspace.h
             src/cuda/workspace/cuda_workspace.cpp kernels/workspace.h)
  lomo_build_id(${COPY} 1.0 before)
  file(APPEND ${COPY}/${file} "\n")
  lomo_build_id(${COPY} 1.0 after)
  if(after STREQUAL before)
    message(FATAL_ERROR "a change of ${file} does not change the build id of the CUDA plugin")
  endif()
endforeach()

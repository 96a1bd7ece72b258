# LOMO_BUILD_ID: the version, and a hash of what the program and its plugins must agree on: the
# contract of engines, and the scratch memory of the CUDA engine, which the program plans with.
function(lomo_contracts root out)
  file(GLOB contracts ${root}/include/lomo/core/*.h ${root}/include/lomo/backend/*.h
                      ${root}/include/lomo/cuda/*.h ${root}/src/cuda/workspace/*.cpp)
  list(APPEND contracts ${root}/kernels/workspace.h)
  set(${out} ${contracts} PARENT_SCOPE)
endfunction()

function(lomo_build_id root version out)
  lomo_contracts(${root} contracts)
  set(hashes)
  foreach(file ${contracts})
    file(SHA256 ${file} hash)
    string(APPEND hashes ${hash})
  endforeach()
  string(SHA256 hash "${hashes}")
  string(SUBSTRING ${hash} 0 12 hash)
  set(${out} "${version}-${hash}" PARENT_SCOPE)
endfunction()

if(NOT CMAKE_SCRIPT_MODE_FILE)
  lomo_contracts(${PROJECT_SOURCE_DIR} contracts)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${contracts})
  lomo_build_id(${PROJECT_SOURCE_DIR} ${PROJECT_VERSION} LOMO_BUILD_ID)
endif()

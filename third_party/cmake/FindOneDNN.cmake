# Defines OneDNN::dnnl and OneDNN_VERSION. Debian's own dnnl-config.cmake asks for OpenCL headers
# that the CPU engine does not need, so header and library are found directly.
find_path(OneDNN_INCLUDE_DIR oneapi/dnnl/dnnl.hpp)
find_library(OneDNN_LIBRARY dnnl)
if(OneDNN_INCLUDE_DIR)
  file(STRINGS ${OneDNN_INCLUDE_DIR}/oneapi/dnnl/dnnl_version.h _lines
       REGEX "define DNNL_VERSION_(MAJOR|MINOR|PATCH) ")
  string(REGEX MATCHALL "[0-9]+" _numbers "${_lines}")
  list(JOIN _numbers "." OneDNN_VERSION)
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(OneDNN REQUIRED_VARS OneDNN_LIBRARY OneDNN_INCLUDE_DIR
                                  VERSION_VAR OneDNN_VERSION)
if(OneDNN_FOUND AND NOT OneDNN_VERSION MATCHES "^(2\\.[6-9]|3)\\.")
  message(FATAL_ERROR "oneDNN ${OneDNN_VERSION} found in ${OneDNN_INCLUDE_DIR}; 2.6 up to 3.x are "
                      "supported. Point CMake at another one with -DOneDNN_INCLUDE_DIR=... "
                      "-DOneDNN_LIBRARY=...")
endif()
if(OneDNN_FOUND AND NOT TARGET OneDNN::dnnl)
  add_library(OneDNN::dnnl UNKNOWN IMPORTED)
  set_target_properties(OneDNN::dnnl PROPERTIES IMPORTED_LOCATION ${OneDNN_LIBRARY}
                                                INTERFACE_INCLUDE_DIRECTORIES ${OneDNN_INCLUDE_DIR})
endif()

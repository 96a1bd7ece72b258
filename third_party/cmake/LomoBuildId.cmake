# LOMO_BUILD_ID: the version, and a hash of the headers that the program and its engine plugin must
# agree on.
file(GLOB contracts CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/lomo/core/*.h
                                      ${PROJECT_SOURCE_DIR}/include/lomo/backend/*.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${contracts})
set(hashes)
foreach(header ${contracts})
  file(SHA256 ${header} hash)
  string(APPEND hashes ${hash})
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING ${hash} 0 12 hash)
set(LOMO_BUILD_ID "${PROJECT_VERSION}-${hash}")

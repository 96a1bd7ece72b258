# lomo_check_headers(FLOOR TARGET): compiles every public header of a floor in a file of its own,
# twice, with nothing but the include directories of TARGET: a header that leans on what others
# happened to include, or lacks its guard, does not build.
function(lomo_check_headers floor target)
  file(GLOB headers CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}/include
       ${PROJECT_SOURCE_DIR}/include/lomo/${floor}/*.h ${PROJECT_SOURCE_DIR}/include/lomo/${floor}/*/*.h)
  set(sources)
  foreach(header ${headers})
    set(source ${PROJECT_BINARY_DIR}/header_check/${header}.cpp)
    file(CONFIGURE OUTPUT ${source} CONTENT "#include \"${header}\"\n#include \"${header}\"\n")
    list(APPEND sources ${source})
  endforeach()
  if(sources)
    add_library(lomo_headers_${floor} OBJECT ${sources})
    lomo_compile_options(lomo_headers_${floor})
    target_link_libraries(lomo_headers_${floor} PRIVATE ${target})
  endif()
endfunction()

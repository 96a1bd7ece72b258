# One target a floor. A floor's public headers are reachable only through its own include directory
# (a folder of the build tree that holds a single link), so a file can include the headers of the
# floors its target links and no others: the direction of includes is enforced by the compiler.

function(lomo_floor_headers target floor)
  set(root ${PROJECT_BINARY_DIR}/floors/${floor})
  file(MAKE_DIRECTORY ${root}/lomo)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/lomo/${floor} ${root}/lomo/${floor} SYMBOLIC)
  target_include_directories(${target} PUBLIC $<BUILD_INTERFACE:${root}>)
endfunction()

function(lomo_compile_options target)
  target_compile_features(${target} PUBLIC cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF POSITION_INDEPENDENT_CODE ON)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                                           -Woverloaded-virtual -Wsuggest-override
                                           -ffp-contract=off
                                           # GCC 12 sees overlaps in std::string that are not there
                                           # (its bug 105651).
                                           $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
                                           $<$<BOOL:${LOMO_WERROR}>:-Werror>)
endfunction()

# For code that only directs work, and for tests: -O1 compiles in two thirds of the time.
function(lomo_compile_fast target)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:-O1>)
endfunction()

# lomo_floor(NAME SOURCES ... DEPENDS floor... LIBRARIES target...)
function(lomo_floor name)
  cmake_parse_arguments(F "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  list(TRANSFORM F_DEPENDS PREPEND lomo_)
  add_library(lomo_${name} STATIC ${F_SOURCES})
  lomo_floor_headers(lomo_${name} ${name})
  lomo_compile_options(lomo_${name})
  target_link_libraries(lomo_${name} PUBLIC ${F_DEPENDS} PRIVATE ${F_LIBRARIES})
endfunction()

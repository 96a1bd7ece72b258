# nvcc, when there is one. Sets LOMO_HAVE_CUDA.
#   LOMO_CUDA=AUTO   kernels are built when nvcc is found, and the configuration says so when not
#   LOMO_CUDA=ON     nvcc is required
#   LOMO_CUDA=OFF    nvcc is not looked for
set(LOMO_CUDA AUTO CACHE STRING "Build the CUDA kernels: AUTO, ON or OFF")
set_property(CACHE LOMO_CUDA PROPERTY STRINGS AUTO ON OFF)
set(LOMO_CUDA_ARCHITECTURES "80-real;86-real;89-real;90" CACHE STRING
    "Architectures to build kernels for; a number without -real adds PTX for later ones")
set(LOMO_HAVE_CUDA OFF)

if(LOMO_CUDA)
  set(CMAKE_CUDA_ARCHITECTURES "${LOMO_CUDA_ARCHITECTURES}")  # before the language is enabled
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    enable_language(CUDA)
    if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)  # CMake before 3.26 does not know nvcc's flag
      set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
      set(CMAKE_CUDA20_EXTENSION_COMPILE_OPTION "-std=c++20")
    endif()
    find_package(CUDAToolkit REQUIRED)
    set(LOMO_HAVE_CUDA ON)
  elseif(LOMO_CUDA STREQUAL "AUTO")
    message(STATUS "No nvcc: built without CUDA. To build the kernels put nvcc on the PATH or set "
                   "CMAKE_CUDA_COMPILER")
  else()
    message(FATAL_ERROR "LOMO_CUDA=${LOMO_CUDA}, but no nvcc was found. Put it on the PATH, set "
                        "CMAKE_CUDA_COMPILER, or configure with -DLOMO_CUDA=OFF")
  endif()
endif()

# What the sources of the CUDA engine want to know of their build.
function(lomo_cuda_engine_definitions target)
  string(REPLACE ";" " " architectures "${LOMO_CUDA_ARCHITECTURES}")
  target_compile_definitions(${target} PRIVATE LOMO_BUILD_ID="${LOMO_BUILD_ID}"
                                               LOMO_CUDA_ARCHITECTURES="${architectures}")
endfunction()

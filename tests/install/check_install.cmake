# cmake -DBUILD=... -DPREFIX=... -P check_install.cmake: installs the build and runs what was
# installed, with a config that only the installed share/ has.
file(REMOVE_RECURSE ${PREFIX})

function(must_work)
  execute_process(COMMAND ${ARGN} WORKING_DIRECTORY / RESULT_VARIABLE code
                  OUTPUT_VARIABLE output ERROR_VARIABLE output)
  if(NOT code EQUAL 0)
    message(FATAL_ERROR "${ARGN}: ${code}\n${output}")
  endif()
  set(output ${output} PARENT_SCOPE)
endfunction()

must_work(${CMAKE_COMMAND} --install ${BUILD} --prefix ${PREFIX})
set(configs ${PREFIX}/share/lomo-train/configs)
configure_file(${configs}/llama7b.json ${configs}/only-here.json COPYONLY)
must_work(${PREFIX}/bin/lomo-train plan --config only-here.json --memory 24GiB --tokens 512)
if(NOT output MATCHES "6.7 B parameters" OR NOT output MATCHES "RTX 4090")
  message(FATAL_ERROR "not a plan of LLaMA-7B:\n${output}")
endif()
must_work(ldd ${PREFIX}/bin/lomo-train)
if(NOT output MATCHES "${PREFIX}/bin/../lib[^ ]*/liblomo.so")
  message(FATAL_ERROR "the installed program does not take the installed library:\n${output}")
endif()
if(output MATCHES "libmpi")
  message(FATAL_ERROR "the installed program needs MPI to start:\n${output}")
endif()
file(REMOVE_RECURSE ${PREFIX})

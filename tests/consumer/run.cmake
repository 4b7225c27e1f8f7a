# cmake -DBUILD=<build tree> -DWORK=<scratch directory> -DLIBDIR=lib -P run.cmake
# Installs the build into a directory of its own and uses it from there as a stranger would.

function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ERROR_IS_FATAL ANY)
endfunction()

set(prefix ${WORK}/prefix)
file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${prefix})
set(ENV{PKG_CONFIG_PATH} ${prefix}/${LIBDIR}/pkgconfig)
run(${CMAKE_COMMAND} -G Ninja -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK}/build
    -DCMAKE_PREFIX_PATH=${prefix} -DINCLUDE_DIR=${prefix}/include
    -DEXAMPLES=${CMAKE_CURRENT_LIST_DIR}/../../client/examples)
run(${CMAKE_COMMAND} --build ${WORK}/build)
foreach(program IN ITEMS consumer_c consumer_cxx consumer_pc)
    run(${WORK}/build/${program})
endforeach()

# Pools of their own, with the programs that were installed beside the library.
unset(ENV{DROVER_BIN_DIR})
function(expect output)
    execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE got COMMAND_ERROR_IS_FATAL ANY)
    if(NOT got STREQUAL output)
        message(FATAL_ERROR "${ARGN}: '${got}', wanted '${output}'")
    endif()
endfunction()

expect("49\n" ${WORK}/build/local_pool ${prefix}/${LIBDIR}/drover/modules/demo.so)
expect("27\n" ${WORK}/build/own_handlers)
expect("0\n1\n7\n2\n" ${WORK}/build/local_map 4)
expect("hello!\n" ${WORK}/build/own_handlers_cxx)

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
    -DCMAKE_PREFIX_PATH=${prefix} -DINCLUDE_DIR=${prefix}/include)
run(${CMAKE_COMMAND} --build ${WORK}/build)
foreach(program IN ITEMS consumer_c consumer_cxx consumer_pc)
    run(${WORK}/build/${program})
endforeach()

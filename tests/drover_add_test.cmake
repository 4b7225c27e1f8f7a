# drover_add_test(NAME name LABELS label... TIMEOUT seconds
#                 SOURCES file.c... [LIBRARIES target...] [ARGUMENTS argument...]
#               | COMMAND program argument...)
#
# Registers one test. With SOURCES an executable target of the same name is built into
# <build>/tests. Every test gets a time limit, longer where the build is instrumented, and the
# environment that process tests need. One that cannot be run here says why and returns 77.

set(DROVER_TEST_PATIENCE 1 CACHE STRING "time limits of the tests times this, for slow machines")
set(drover_time_scale 1)
if(DROVER_SANITIZE STREQUAL "asan" OR DROVER_FUZZ OR DROVER_COVERAGE)
    set(drover_time_scale 3)
elseif(DROVER_SANITIZE STREQUAL "tsan")
    set(drover_time_scale 5)
endif()

math(EXPR drover_time_scale "${drover_time_scale} * ${DROVER_TEST_PATIENCE}")

set(drover_test_environment
    DROVER_BIN_DIR=${CMAKE_RUNTIME_OUTPUT_DIRECTORY}
    DROVER_MODULE_DIR=${DROVER_MODULE_OUTPUT_DIRECTORY}
    DROVER_TEST_MODULE_DIR=${CMAKE_CURRENT_BINARY_DIR}/modules
    DROVER_TEST_TIME_SCALE=${drover_time_scale}
    DROVER_TEST_SANITIZER=${DROVER_SANITIZE}
    DROVER_SOURCE_DIR=${PROJECT_SOURCE_DIR}
    DROVER_BROKER_HTTP=off
    PYTHONPATH=${CMAKE_CURRENT_SOURCE_DIR}/support
    PYTHONDONTWRITEBYTECODE=1
    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1:detect_leaks=1
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1
    TSAN_OPTIONS=suppressions=${CMAKE_CURRENT_SOURCE_DIR}/support/tsan.supp:halt_on_error=1:second_deadlock_stack=1)

function(drover_add_test)
    cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;TIMEOUT"
        "LABELS;SOURCES;LIBRARIES;ARGUMENTS;COMMAND")
    if(arg_UNPARSED_ARGUMENTS OR NOT arg_NAME OR NOT arg_LABELS OR NOT arg_TIMEOUT)
        message(FATAL_ERROR "drover_add_test(${arg_NAME}): NAME, LABELS and TIMEOUT are needed; "
            "not understood: '${arg_UNPARSED_ARGUMENTS}'")
    endif()
    if(arg_SOURCES)
        add_executable(${arg_NAME} ${arg_SOURCES})
        set_target_properties(${arg_NAME} PROPERTIES
            RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR})
        target_link_libraries(${arg_NAME} PRIVATE
            drv_test_support ${arg_LIBRARIES} drover_options drover_test_options)
        set(arg_COMMAND ${arg_NAME} ${arg_ARGUMENTS})
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
    math(EXPR timeout "${arg_TIMEOUT} * ${drover_time_scale}")
    set_tests_properties(${arg_NAME} PROPERTIES
        LABELS "${arg_LABELS}"
        TIMEOUT ${timeout}
        SKIP_RETURN_CODE 77
        ENVIRONMENT "${drover_test_environment}")
endfunction()

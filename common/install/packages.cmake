# Debian packages, one of each component, by `cpack` in a build of preset `package`.
#
#   drover-broker, drover-worker, drover-client   the programs
#   libdrover0, libdrover-dev                     the library; for building against it
#
# The services are installed and neither enabled nor started: a worker has to be told first what it
# may run. Maintainer scripts (install/debian/ of a component) make the users, restart what runs
# at an upgrade, stop it at removal, and take the data away at a purge.

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME drover)
set(CPACK_PACKAGE_VENDOR drover)
set(CPACK_PACKAGE_CONTACT "drover developers <drover@localhost>")
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL broker worker client library development)
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_STRIP_FILES ON)
set(CPACK_VERBATIM_VARIABLES ON)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "${CPACK_DEFAULT_PACKAGE_DESCRIPTION_SUMMARY}") # each has its own
set(CPACK_THREADS 0)

set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_RELEASE 1)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS ON)
# A program that was built against it wants this version or a later one, not this one alone.
set(CPACK_DEBIAN_PACKAGE_GENERATE_SHLIBS_POLICY ">=")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)

# drover_package(component NAME name SECTION section SUMMARY line TEXT lines
#                [DEPENDS list] [RECOMMENDS list] [SUGGESTS list] [SCRIPTS file...])
function(drover_package component)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "NAME;SECTION;SUMMARY;TEXT;DEPENDS;RECOMMENDS;SUGGESTS"
        "SCRIPTS")
    string(TOUPPER ${component} upper)
    set(CPACK_DEBIAN_${upper}_PACKAGE_NAME ${arg_NAME} PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_SECTION ${arg_SECTION} PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_DESCRIPTION "${arg_SUMMARY}\n${arg_TEXT}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_DEPENDS "${arg_DEPENDS}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_RECOMMENDS "${arg_RECOMMENDS}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_SUGGESTS "${arg_SUGGESTS}" PARENT_SCOPE)
    set(CPACK_DEBIAN_${upper}_PACKAGE_CONTROL_EXTRA "${arg_SCRIPTS}" PARENT_SCOPE)
endfunction()

# The scripts of a service: SERVICE, USERS (a file of sysusers.d and tmpfiles.d), DATA.
function(drover_service_scripts component out)
    set(COMPONENT ${component})
    set(scripts)
    foreach(script IN ITEMS postinst prerm postrm conffiles)
        set(file ${PROJECT_BINARY_DIR}/packages/${component}/${script})
        configure_file(${PROJECT_SOURCE_DIR}/common/install/debian/${script}.in ${file} @ONLY
            FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE
                             WORLD_READ WORLD_EXECUTE)
        list(APPEND scripts ${file})
    endforeach()
    set(${out} "${scripts}" PARENT_SCOPE)
endfunction()

set(makes_users "systemd-standalone-sysusers | systemd-sysusers | systemd")
set(about "drover runs units of work on a fleet of machines, hands the results back, and
shows what the fleet is doing.
.
")

foreach(component IN ITEMS broker worker)
    drover_service_scripts(${component} ${component}_scripts)
endforeach()
drover_package(broker NAME drover-broker SECTION net SUMMARY "task broker"
    TEXT "${about}This package has the broker, which takes tasks from clients and hands them
to workers, and its service."
    DEPENDS "${makes_users}" RECOMMENDS drover-client SCRIPTS ${broker_scripts})
drover_package(worker NAME drover-worker SECTION net SUMMARY "workers of a task broker"
    TEXT "${about}This package has the worker, which runs handlers and commands, and its
services."
    DEPENDS "${makes_users}" SUGGESTS libdrover-dev SCRIPTS ${worker_scripts})
drover_package(client NAME drover-client SECTION net SUMMARY "command of a task broker"
    TEXT "${about}This package has the command with which tasks are sent, and the fleet is
watched and run."
    SUGGESTS "drover-broker, drover-worker")
drover_package(library NAME libdrover${PROJECT_VERSION_MAJOR} SECTION libs
    SUMMARY "library of a task broker"
    TEXT "${about}This package has the library for programs that send tasks. Private pools
(local://) need drover-client, drover-broker and drover-worker besides."
    SUGGESTS "drover-client, drover-broker, drover-worker")
drover_package(development NAME libdrover-dev SECTION libdevel
    SUMMARY "development files of a task broker"
    TEXT "${about}This package has the headers for clients and for modules of handlers."
    DEPENDS "libdrover${PROJECT_VERSION_MAJOR} (= ${PROJECT_VERSION}-1)")

include(CPack)

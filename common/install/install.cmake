# How what is no program is installed: service units, users, configuration, papers, manual pages.
#
# A file under /etc goes there when the prefix is /usr, else below the prefix, so that
# `cmake --install --prefix` moves everything together.

if(CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    set(drover_sysconfdir ${CMAKE_INSTALL_FULL_SYSCONFDIR})
else()
    set(drover_sysconfdir ${CMAKE_INSTALL_SYSCONFDIR})
endif()

# drover_install_configuration(component file): below drover_sysconfdir, unless a file (or a link,
# to wherever) is there: it is the operator's then. What packages do with theirs dpkg knows (conffiles).
function(drover_install_configuration component file)
    get_filename_component(name ${file} NAME)
    get_filename_component(file ${file} ABSOLUTE)
    set(place ${drover_sysconfdir}/drover)
    if(NOT IS_ABSOLUTE ${place})
        string(PREPEND place "\${CMAKE_INSTALL_PREFIX}/")
    endif()
    install(CODE "
        set(path \"\$ENV{DESTDIR}${place}/${name}\")
        if(EXISTS \"\${path}\" OR IS_SYMLINK \"\${path}\")
            message(STATUS \"Kept: \${path}\")
        else()
            file(INSTALL DESTINATION \"${place}\" TYPE FILE FILES \"${file}\")
        endif()" COMPONENT ${component})
endfunction()

# drover_install_service(component SERVICES unit... SYSUSERS file TMPFILES file CONFIGURATION file)
#
# The files stand in the component's folder install/, units as UNIT.in with @PATHS@ of this build.
# The others are called drover-<component> where they go.
function(drover_install_service component)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "SYSUSERS;TMPFILES;CONFIGURATION" "SERVICES")
    foreach(unit IN LISTS arg_SERVICES)
        configure_file(install/${unit}.in install/${unit} @ONLY)
        install(FILES ${CMAKE_CURRENT_BINARY_DIR}/install/${unit}
            DESTINATION lib/systemd/system COMPONENT ${component})
    endforeach()
    install(FILES install/${arg_SYSUSERS} DESTINATION lib/sysusers.d
        RENAME drover-${component}.conf COMPONENT ${component})
    install(FILES install/${arg_TMPFILES} DESTINATION lib/tmpfiles.d
        RENAME drover-${component}.conf COMPONENT ${component})
    drover_install_configuration(${component} install/${arg_CONFIGURATION})
endfunction()

# drover_install_papers(component package [NOTICE file] [PAPERS file...]): in share/doc/<package> the
# license, after the notice of what else is in it, the changelog, and what else there is to read.
# An image's build does without the *.md (.dockerignore): it would be a new one for each word.
function(drover_install_papers component package)
    cmake_parse_arguments(PARSE_ARGV 2 arg "" "NOTICE" "PAPERS")
    set(text)
    foreach(file IN ITEMS ${arg_NOTICE} ${PROJECT_SOURCE_DIR}/LICENSE)
        file(READ ${file} part)
        string(APPEND text "${part}")
        set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${file})
    endforeach()
    set(copyright ${PROJECT_BINARY_DIR}/papers/${package}/copyright)
    file(CONFIGURE OUTPUT ${copyright} CONTENT "${text}" @ONLY)
    set(place ${CMAKE_INSTALL_DATADIR}/doc/${package})
    install(FILES ${copyright} DESTINATION ${place} COMPONENT ${component})
    install(FILES ${PROJECT_SOURCE_DIR}/CHANGELOG.md RENAME changelog DESTINATION ${place}
        COMPONENT ${component} OPTIONAL)
    install(FILES ${arg_PAPERS} DESTINATION ${place} COMPONENT ${component} OPTIONAL)
endfunction()

# drover_install_pages(): manual pages and completions, made by make_pages.py from what the built
# programs say. Where scdoc is missing, or the programs are instrumented, there are none.
option(DROVER_PAGES "Make manual pages and completions" ON)
option(DROVER_GZIP_PAGES "Compress the manual pages" OFF)
function(drover_install_pages)
    find_program(DROVER_SCDOC scdoc)
    find_program(DROVER_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
    if(NOT DROVER_PAGES OR NOT DROVER_SANITIZE STREQUAL "none" OR DROVER_FUZZ OR DROVER_COVERAGE)
        return()
    endif()
    if(NOT DROVER_SCDOC OR NOT DROVER_PYTHON)
        message(NOTICE "scdoc or python3 is missing: no manual pages and completions")
        return()
    endif()
    set(maker ${PROJECT_SOURCE_DIR}/common/install/make_pages.py)
    set(folders broker/man worker/man client/man)
    list(TRANSFORM folders PREPEND ${PROJECT_SOURCE_DIR}/)
    list(TRANSFORM folders APPEND /*.scd OUTPUT_VARIABLE patterns)
    file(GLOB sources CONFIGURE_DEPENDS ${patterns})
    set(out ${PROJECT_BINARY_DIR}/pages)
    add_custom_command(OUTPUT ${out}/stamp
        COMMAND ${CMAKE_COMMAND} -E rm -rf ${out}
        COMMAND ${DROVER_PYTHON} ${maker} --bin ${CMAKE_RUNTIME_OUTPUT_DIRECTORY} --out ${out}
                $<$<BOOL:${DROVER_GZIP_PAGES}>:--gzip> ${folders}
        COMMAND ${CMAKE_COMMAND} -E touch ${out}/stamp
        DEPENDS drover-broker drover-worker drover-cli ${maker} ${sources}
        COMMENT "Making the manual pages" VERBATIM COMMAND_EXPAND_LISTS)
    add_custom_target(pages ALL DEPENDS ${out}/stamp)
    add_dependencies(programs pages)
    foreach(component IN ITEMS broker worker client)
        install(DIRECTORY ${out}/man/${component}/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
            COMPONENT ${component})
    endforeach()
    foreach(place IN ITEMS bash:bash-completion/completions zsh:zsh/vendor-completions
            fish:fish/vendor_completions.d)
        string(REGEX MATCH "^([a-z]+):(.*)" place ${place})
        install(DIRECTORY ${out}/completions/${CMAKE_MATCH_1}/
            DESTINATION ${CMAKE_INSTALL_DATADIR}/${CMAKE_MATCH_2} COMPONENT client)
    endforeach()
endfunction()

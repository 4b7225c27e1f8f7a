# Makes a C file that holds the given files:
#
#   cmake -DOUT=assets.c "-DFILES=path=file;path=file..." -P asset.cmake
#
# The type follows from the name. Hexadecimal, since string literals have a limit in C17.

set(text "/* Made by asset.cmake. */\n#include \"asset.h\"\n\n")
set(table "")
set(number 0)
foreach(pair IN LISTS FILES)
    string(REGEX MATCH "^([^=]+)=(.+)$" found "${pair}")
    set(path ${CMAKE_MATCH_1})
    set(file ${CMAKE_MATCH_2})
    if(path MATCHES "\\.html$")
        set(type "text/html; charset=utf-8")
    elseif(path MATCHES "\\.css$")
        set(type "text/css; charset=utf-8")
    elseif(path MATCHES "\\.js$")
        set(type "text/javascript; charset=utf-8")
    elseif(path MATCHES "\\.svg$")
        set(type "image/svg+xml")
    else()
        message(FATAL_ERROR "${path}: no type is known for this name")
    endif()
    file(READ ${file} bytes HEX)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(APPEND text "static const uint8_t bytes_${number}[] = {${bytes}};\n")
    string(APPEND table
        "    {\"${path}\", \"${type}\", bytes_${number}, sizeof(bytes_${number})},\n")
    math(EXPR number "${number} + 1")
endforeach()
string(APPEND text "\nconst struct asset assets[] = {\n${table}};\n"
    "const size_t asset_count = ${number};\n")
file(WRITE ${OUT} "${text}")

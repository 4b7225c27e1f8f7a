/*
 * asset.h: the files of the page, a part of the program. asset.cmake makes the table out of
 * broker/web/ and the charts library.
 */
#ifndef HTTP_ASSET_H
#define HTTP_ASSET_H

#include <stddef.h>
#include <stdint.h>

struct asset {
    const char *path; /* "/app.js" */
    const char *type; /* content type */
    const uint8_t *bytes;
    size_t len;
};

extern const struct asset assets[];
extern const size_t asset_count;

/* "/" is "/index.html". NULL: there is none. */
const struct asset *asset_find(const char *path);

#endif

#include "stat/disk.h"

#include "check.h"
#include "stat/rate.h"
#include "stat/text.h"

#include <limits.h>
#include <string.h>

/* ---- mountinfo ------------------------------------------------------------------------------
 * "36 35 98:0 /root /mount/point options optional... - type source options", see proc(5).
 */

struct field {
    const char *at;
    size_t len;
};

/* The next field of the line, of length 0 at its end. */
static struct field next_field(const char **at)
{
    struct field field = {*at + strspn(*at, " "), 0};
    field.len = strcspn(field.at, " \n");
    *at = field.at + field.len;
    return field;
}

static bool field_is(struct field field, const char *text)
{
    return strlen(text) == field.len && memcmp(field.at, text, field.len) == 0;
}

static bool field_begins(struct field field, const char *text)
{
    return strlen(text) <= field.len && memcmp(field.at, text, strlen(text)) == 0;
}

static bool is_octal(char c)
{
    return c >= '0' && c <= '7';
}

/* \040 is a blank; false when it is too long. */
static bool unescape(struct field field, char *out_text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < field.len; i++) {
        char c = field.at[i];
        if (c == '\\' && i + 3 < field.len && is_octal(field.at[i + 1]) &&
            is_octal(field.at[i + 2]) && is_octal(field.at[i + 3])) {
            c = (char)((field.at[i + 1] - '0') * 64 + (field.at[i + 2] - '0') * 8 +
                       (field.at[i + 3] - '0'));
            i += 3;
        }
        if (len + 1 >= size) {
            return false;
        }
        out_text[len++] = c;
    }
    out_text[len] = '\0';
    return true;
}

struct line {
    char path[PATH_MAX];
    uint64_t major, minor;
    struct field type, source;
};

static bool parse_line(const char *at, struct line *out_line)
{
    (void)next_field(&at); /* id, parent */
    (void)next_field(&at);
    const char *device = next_field(&at).at;
    if (!stat_text_number(&device, &out_line->major) || *device++ != ':' ||
        !stat_text_number(&device, &out_line->minor)) {
        return false;
    }
    (void)next_field(&at); /* root inside the file system */
    struct field path = next_field(&at);
    struct field field = next_field(&at);
    while (field.len > 0 && !field_is(field, "-")) {
        field = next_field(&at);
    }
    out_line->type = next_field(&at);
    out_line->source = next_field(&at);
    return out_line->type.len > 0 && unescape(path, out_line->path, sizeof out_line->path);
}

/* ---- which of them --------------------------------------------------------------------------
 */

static bool is_remote(struct field type)
{
    static const char *const begins[] = {"nfs",    "cifs", "smb",      "fuse",      "ceph",
                                         "afs",    "9p",   "ncp",      "gfs",       "ocfs",
                                         "lustre", "gpfs", "beegfs",   "glusterfs", "orangefs",
                                         "davfs",  "coda", "virtiofs", "panfs",     "wekafs"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(begins); i++) {
        if (field_begins(type, begins[i])) {
            return true;
        }
    }
    return false;
}

/* Full by their nature, or without numbers of their own; asking autofs would mount what lies
 * behind it. */
static bool is_no_disk(struct field type)
{
    static const char *const types[] = {"squashfs", "iso9660", "erofs", "autofs", "rootfs"};
    for (size_t i = 0; i < DRV_ARRAY_LEN(types); i++) {
        if (field_is(type, types[i])) {
            return true;
        }
    }
    return false;
}

static bool is_pool(struct field type)
{
    return field_is(type, "zfs") || field_is(type, "btrfs") || field_is(type, "bcachefs");
}

static bool is_root(const struct line *line)
{
    return strcmp(line->path, "/") == 0;
}

static bool is_disk(const struct line *line)
{
    return !is_no_disk(line->type) &&
           (is_root(line) || is_remote(line->type) || is_pool(line->type) ||
            field_begins(line->source, "/dev/"));
}

/* Bind mounts come again: the first place counts. */
static bool is_known(const struct stat_disk *disk, const struct line *line)
{
    for (size_t i = 0; i < disk->count; i++) {
        const struct stat_mount *mount = &disk->mounts[i];
        if ((mount->major == line->major && mount->minor == line->minor) ||
            strcmp(mount->path, line->path) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- asking ---------------------------------------------------------------------------------
 */

static void ask_mount(stat_disk_ask_fn ask, const char *path, struct stat_mount *mount)
{
    struct statvfs numbers;
    mount->is_unknown = ask(path, &numbers) != 0 || numbers.f_blocks < numbers.f_bfree;
    if (mount->is_unknown) {
        return;
    }
    uint64_t unit = numbers.f_frsize > 0 ? numbers.f_frsize : numbers.f_bsize;
    uint64_t used = numbers.f_blocks - numbers.f_bfree;
    mount->total = numbers.f_blocks * unit;
    mount->used = used * unit;
    mount->available = numbers.f_bavail * unit;
    mount->percent = stat_percent(used, used + numbers.f_bavail);
}

static void take(struct stat_disk *disk, const struct line *line, stat_disk_ask_fn ask)
{
    if (disk->count == STAT_MOUNTS_MAX) {
        disk->more++;
        return;
    }
    struct stat_mount *mount = &disk->mounts[disk->count++];
    *mount = (struct stat_mount){.major = (uint32_t)line->major,
                                 .minor = (uint32_t)line->minor,
                                 .is_remote = is_remote(line->type) && !is_root(line),
                                 .percent = STAT_UNKNOWN};
    (void)stat_text_utf8(line->path, strlen(line->path), mount->path, sizeof mount->path);
    (void)stat_text_utf8(line->type.at, line->type.len, mount->type, sizeof mount->type);
    if (!mount->is_remote) {
        ask_mount(ask, line->path, mount);
    }
}

void stat_disk_read(const char *root, stat_disk_ask_fn ask, struct drv_buffer *text,
                    struct stat_disk *out_disk)
{
    struct line line;
    out_disk->count = out_disk->more = 0;
    if (stat_text_load(root, "/proc/self/mountinfo", text) != DROVER_OK) {
        return;
    }
    for (const char *at = (const char *)text->bytes; at != NULL; at = stat_text_next_line(at)) {
        if (parse_line(at, &line) && is_disk(&line) && !is_known(out_disk, &line)) {
            take(out_disk, &line, ask);
        }
    }
}

double stat_disk_root_percent(const struct stat_disk *disk)
{
    for (size_t i = 0; i < disk->count; i++) {
        if (strcmp(disk->mounts[i].path, "/") == 0 && stat_is_known(disk->mounts[i].percent)) {
            return disk->mounts[i].percent;
        }
    }
    return 0;
}

void stat_disk_write(const struct stat_disk *disk, bool is_stale, struct stat_details *details)
{
    bool fits = true;
    size_t count = disk != NULL ? disk->count : 0;
    stat_details_map(details, "disk");
    stat_details_list(details, "mounts");
    for (size_t i = 0; fits && i < count; i++) {
        const struct stat_mount *mount = &disk->mounts[i];
        stat_details_row(details);
        stat_details_text(details, "path", mount->path);
        stat_details_text(details, "type", mount->type);
        if (mount->is_remote) {
            stat_details_bool(details, "remote", true);
        } else if (!mount->is_unknown) {
            stat_details_uint(details, "total", mount->total);
            stat_details_uint(details, "used", mount->used);
            stat_details_uint(details, "available", mount->available);
            stat_details_real(details, "percent", mount->percent);
        }
        fits = stat_details_keep(details);
    }
    stat_details_end(details);
    stat_details_bool(details, "stale", is_stale);
    stat_details_bool(details, "truncated", !fits || (disk != NULL && disk->more > 0));
    stat_details_end(details);
}

/* Small files that hold secrets: mode 0600, whole or not at all, and durable when they are said to
 * be written.
 *
 *   write: NAME.new --> fsync --> rename to NAME --> fsync of the directory
 *
 * What others may read is no secret any more, and what others may write is not ours: such a file
 * is refused, with what to do. */
#pragma once

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct PrivateText {
    char *text; /* owned, a NUL behind it */
    size_t len;
} PrivateText;

/* Wipes and frees; a zeroed one is fine. */
void private_text_done(PrivateText *text);

/* The path of a file in a directory; the caller owns it. */
char *private_path(const char *directory, const char *name);

/* On failure the caller owns *ret_error, one line for a person.
 * ERR_UNAVAILABLE: the disk is full. ERR_DENIED: nothing may be written there. ERR_IO. */
Err private_file_write(const char *path, const void *data, size_t len, char **ret_error);

/* ERR_NOT_FOUND: there is none; nothing is said. ERR_DENIED: others may read or write it, or it
 * may not be read. ERR_LIMIT: it is longer than max. ERR_IO. */
Err private_file_read(const char *path, size_t max, PrivateText *ret_text, char **ret_error);

/* By which a file that was written anew is told from the one that was read. All zeros: none. */
typedef struct PrivateStamp {
    uint64_t device;
    uint64_t inode;
    int64_t size;
    int64_t mtime_ns;
    int64_t ctime_ns;
} PrivateStamp;

/* Takes the stamp of the file that is there now. True where it is another one. */
bool private_file_changed(const char *path, PrivateStamp *stamp);

/* From reading until what was read is written anew, among processes: held until private_unlock.
 * The directory must exist. ERR_NOT_FOUND: it does not. ERR_IO. */
Err private_lock(const char *directory, int *ret_fd, char **ret_error);
void private_unlock(int fd);

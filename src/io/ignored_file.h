/* Whose lines the person at this node does not want to see, in the data directory: the file
 * `ignored`, a key in hex and a name on each line (core/core_ignore.c). It may be edited by hand
 * while the node is down. */
#pragma once

#include "base/err.h"
#include "base/strbuf.h"

enum { IGNORED_FILE_MAX_BYTES = 256 * 1024 };

/* Adds what it holds to ret_text; nothing where there is no file. The caller owns *ret_error.
 * ERR_LIMIT: it is longer than IGNORED_FILE_MAX_BYTES. ERR_IO. */
Err ignored_file_read(const char *data_dir, StrBuf *ret_text, char **ret_error);

/* The file is the old one or the new one, whatever happens; with no text there is none. Errors
 * of private_file_write; ERR_IO. */
Err ignored_file_write(const char *data_dir, const char *text, char **ret_error);

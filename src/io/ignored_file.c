/* Written as a private file is; read as any is, since people may edit it. */
#include "io/ignored_file.h"

#include "io/private_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static Err fail(const char *what, const char *path, char **ret_error)
{
    *ret_error = strbuf_format("cannot %s %s: %s", what, path, strerror(errno));
    return ERR_IO;
}

Err ignored_file_read(const char *data_dir, StrBuf *ret_text, char **ret_error)
{
    AUTO_FREE char *path = private_path(data_dir, "ignored");
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return errno == ENOENT ? ERR_OK : fail("read", path, ret_error);
    }
    AUTO_FREE char *text = mem_alloc(IGNORED_FILE_MAX_BYTES + 1);
    size_t len = fread(text, 1, IGNORED_FILE_MAX_BYTES + 1, file);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed) {
        return fail("read", path, ret_error);
    }
    if (len > IGNORED_FILE_MAX_BYTES) {
        *ret_error = strbuf_format("%s is longer than %d bytes: it is not read", path,
                                   IGNORED_FILE_MAX_BYTES);
        return ERR_LIMIT;
    }
    strbuf_add(ret_text, text, len);
    return ERR_OK;
}

Err ignored_file_write(const char *data_dir, const char *text, char **ret_error)
{
    AUTO_FREE char *path = private_path(data_dir, "ignored");
    if (text[0] == '\0') {
        return unlink(path) == 0 || errno == ENOENT ? ERR_OK : fail("remove", path, ret_error);
    }
    return private_file_write(path, text, strlen(text), ret_error);
}

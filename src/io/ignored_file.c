/* Written to a temporary name, synced, renamed. */
#include "io/ignored_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FILE_MODE = 0600 };

static Err fail(const char *what, const char *path, char **ret_error)
{
    StrBuf text = {0};
    strbuf_addf(&text, "cannot %s %s: %s", what, path, strerror(errno));
    *ret_error = strbuf_take(&text);
    return ERR_IO;
}

static char *path_in(const char *data_dir, const char *name)
{
    StrBuf path = {0};
    strbuf_addf(&path, "%s/%s", data_dir, name);
    return strbuf_take(&path);
}

Err ignored_file_read(const char *data_dir, StrBuf *ret_text, char **ret_error)
{
    AUTO_FREE char *path = path_in(data_dir, "ignored");
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
        StrBuf reason = {0};
        strbuf_addf(&reason, "%s is longer than %d bytes: it is not read", path,
                    IGNORED_FILE_MAX_BYTES);
        *ret_error = strbuf_take(&reason);
        return ERR_LIMIT;
    }
    strbuf_add(ret_text, text, len);
    return ERR_OK;
}

/* So that the new name is there after a power failure too. */
static void sync_directory(const char *data_dir)
{
    int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        close(fd);
    }
}

static bool write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, text, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return false;
        }
        text += done;
        len -= (size_t)done;
    }
    return fsync(fd) == 0;
}

Err ignored_file_write(const char *data_dir, const char *text, char **ret_error)
{
    AUTO_FREE char *path = path_in(data_dir, "ignored");
    AUTO_FREE char *draft = path_in(data_dir, "ignored.new");
    if (text[0] == '\0') {
        return unlink(path) == 0 || errno == ENOENT ? ERR_OK : fail("remove", path, ret_error);
    }
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, FILE_MODE);
    if (fd < 0) {
        return fail("write", draft, ret_error);
    }
    bool written = write_all(fd, text, strlen(text));
    Err err = written ? ERR_OK : fail("write", draft, ret_error);
    close(fd);
    if (written && rename(draft, path) != 0) {
        err = fail("write", path, ret_error);
    }
    if (err != ERR_OK) {
        (void)unlink(draft);
    } else {
        sync_directory(data_dir);
    }
    return err;
}

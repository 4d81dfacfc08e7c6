/* open, fsync, rename, and looking at who else may. */
#include "io/private_file.h"

#include "base/strbuf.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sodium.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OTHERS = S_IRWXG | S_IRWXO, PRIVATE = S_IRUSR | S_IWUSR };

static const int64_t NS_PER_S = 1000000000;

void private_text_done(PrivateText *text)
{
    if (text->text != NULL) {
        sodium_memzero(text->text, text->len);
        mem_free(TAKE(text->text));
    }
    text->len = 0;
}

char *private_path(const char *directory, const char *name)
{
    return strbuf_format("%s/%s", directory, name);
}

static Err say_errno(char **ret_error, const char *what, const char *path)
{
    int error = errno;
    *ret_error = strbuf_format("cannot %s %s: %s", what, path, strerror(error));
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return ERR_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    default:
        return ERR_IO;
    }
}

/* ---- writing ---- */

static bool write_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t written = write(fd, data, len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        if (written > 0) {
            data += written;
            len -= (size_t)written;
        }
    }
    return true;
}

/* The rename is durable when the directory is. */
static bool sync_directory_of(const char *path)
{
    AUTO_FREE char *copy = mem_copy_string(path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    bool done = fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    return done;
}

Err private_file_write(const char *path, const void *data, size_t len, char **ret_error)
{
    AUTO_STRBUF StrBuf draft = {0};
    strbuf_addf(&draft, "%s.new", path);
    unlink(draft.text); /* of a write that was cut short; made anew it is nobody else's */
    int fd = open(draft.text, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, PRIVATE);
    if (fd < 0) {
        return say_errno(ret_error, "make", draft.text);
    }
    bool written = fchmod(fd, PRIVATE) == 0 && write_all(fd, data, len) && fsync(fd) == 0;
    int error = errno;
    close(fd);
    errno = error;
    if (!written || rename(draft.text, path) != 0) {
        Err err = say_errno(ret_error, "write", path);
        unlink(draft.text);
        return err;
    }
    return sync_directory_of(path) ? ERR_OK : say_errno(ret_error, "make durable", path);
}

/* ---- reading ---- */

static Err check_file(const char *path, const struct stat *status, char **ret_error)
{
    if (!S_ISREG(status->st_mode)) {
        *ret_error = strbuf_format("%s is no plain file", path);
        return ERR_DENIED;
    }
    if (status->st_uid != geteuid() && status->st_uid != 0) {
        *ret_error = strbuf_format(
            "%s belongs to another user (number %lu), who can change it: run this as that user, "
            "or make it yours with chown",
            path, (unsigned long)status->st_uid);
        return ERR_DENIED;
    }
    if ((status->st_mode & OTHERS) != 0) {
        *ret_error = strbuf_format(
            "%s may be used by other users of this machine (mode %04o): chmod 600 %s, "
            "and think of what is in it as known to them",
            path, (unsigned)(status->st_mode & ALLPERMS), path);
        return ERR_DENIED;
    }
    return ERR_OK;
}

/* One byte more than max is asked for: so a file that has grown since is known too. */
static Err read_open(const char *path, int fd, size_t max, PrivateText *ret_text, char **ret_error)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        return say_errno(ret_error, "read", path);
    }
    Err err = check_file(path, &status, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    PrivateText text = {.text = mem_alloc(max + 1)};
    ssize_t got = 0;
    while (text.len <= max && (got = read(fd, text.text + text.len, max + 1 - text.len)) > 0) {
        text.len += (size_t)got;
    }
    if (got < 0) {
        err = say_errno(ret_error, "read", path);
    } else if (text.len > max) {
        *ret_error = strbuf_format("%s is longer than the %zu bytes that it may have", path, max);
        err = ERR_LIMIT;
    }
    if (err != ERR_OK) {
        private_text_done(&text);
        return err;
    }
    text.text[text.len] = '\0';
    *ret_text = text;
    return ERR_OK;
}

Err private_file_read(const char *path, size_t max, PrivateText *ret_text, char **ret_error)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : say_errno(ret_error, "read", path);
    }
    Err err = read_open(path, fd, max, ret_text, ret_error);
    close(fd);
    return err;
}

/* ---- others ---- */

static int64_t time_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_S + time->tv_nsec;
}

bool private_file_changed(const char *path, PrivateStamp *stamp)
{
    struct stat status;
    PrivateStamp now = {0};
    if (stat(path, &status) == 0) {
        now.device = (uint64_t)status.st_dev;
        now.inode = (uint64_t)status.st_ino;
        now.size = (int64_t)status.st_size;
        now.mtime_ns = time_ns(&status.st_mtim);
        now.ctime_ns = time_ns(&status.st_ctim);
    }
    bool same = now.device == stamp->device && now.inode == stamp->inode &&
                now.size == stamp->size && now.mtime_ns == stamp->mtime_ns &&
                now.ctime_ns == stamp->ctime_ns;
    *stamp = now;
    return !same;
}

Err private_lock(const char *directory, int *ret_fd, char **ret_error)
{
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        Err err = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        (void)!say_errno(ret_error, "use", directory);
        return err;
    }
    int failed = 0;
    do {
        failed = flock(fd, LOCK_EX);
    } while (failed != 0 && errno == EINTR);
    if (failed != 0) {
        Err err = say_errno(ret_error, "lock", directory);
        close(fd);
        return err;
    }
    *ret_fd = fd;
    return ERR_OK;
}

void private_unlock(int fd)
{
    close(fd);
}

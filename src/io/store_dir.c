/* The data directory and the small files in it: lock, marks, identity. */
#include "io/store_impl.h"

#include "base/log.h"
#include "base/random.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

void store_say(char **ret_text, const char *format, ...)
{
    StrBuf text = {0};
    va_list args;
    va_start(args, format);
    strbuf_vaddf(&text, format, args);
    va_end(args);
    mem_free(*ret_text);
    *ret_text = strbuf_take(&text);
}

Err dir_err(int error)
{
    switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: /* RLIMIT_FSIZE */
        return ERR_UNAVAILABLE;
    case EACCES:
    case EPERM:
    case EROFS:
        return ERR_DENIED;
    case ENOENT:
        return ERR_NOT_FOUND;
    case EEXIST:
        return ERR_EXISTS;
    default:
        return ERR_IO;
    }
}

static Err say_errno(char **ret_error, const char *what, const char *path)
{
    int error = errno;
    store_say(ret_error, "cannot %s %s: %s", what, path, strerror(error));
    Err err = dir_err(error);
    return err == ERR_OK || err == ERR_EXISTS || err == ERR_NOT_FOUND ? ERR_IO : err;
}

/* ---- the directory, and who has it ---- */

char *dir_file(const DataDir *dir, const char *name)
{
    return strbuf_format("%s/%s", dir->path, name);
}

static Err make_directory(const char *path, char **ret_error)
{
    AUTO_FREE char *copy = mem_copy_string(path);
    for (char *slash = strchr(copy + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
            return say_errno(ret_error, "make", copy);
        }
        *slash = '/';
    }
    if (mkdir(copy, 0700) != 0 && errno != EEXIST) {
        return say_errno(ret_error, "make", copy);
    }
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return say_errno(ret_error, "use", path);
    }
    return ERR_OK;
}

/* The lock is the open file's, not the name's: it goes when its holder does, however that ends. */
static Err take_lock(DataDir *dir, char **ret_error)
{
    AUTO_FREE char *path = dir_file(dir, "lock");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return say_errno(ret_error, "open", path);
    }
    char pid[24] = {0};
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        ssize_t len = pread(fd, pid, sizeof(pid) - 1, 0);
        pid[len > 0 ? strspn(pid, "0123456789") : 0] = '\0';
        store_say(ret_error,
                  "%s is in use by another chat_node (process %s): stop it, or name another "
                  "directory with --data",
                  dir->path, pid[0] != '\0' ? pid : "unknown");
        close(fd);
        return ERR_IN_USE;
    }
    int len = snprintf(pid, sizeof(pid), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)len, 0) != len) {
        log_warning("%s: the process id was not written: %s", path, strerror(errno));
    }
    dir->lock_fd = fd;
    return ERR_OK;
}

Err dir_open(DataDir *dir, const char *path, bool lock, char **ret_error)
{
    dir->path = mem_copy_string(path);
    dir->lock_fd = -1;
    if (!lock) {
        return ERR_OK;
    }
    Err err = make_directory(path, ret_error);
    return err != ERR_OK ? err : take_lock(dir, ret_error);
}

void dir_close(DataDir *dir)
{
    if (dir->lock_fd >= 0) {
        close(dir->lock_fd);
        dir->lock_fd = -1;
    }
    mem_free(TAKE(dir->path));
}

void dir_sync(const DataDir *dir)
{
    int fd = open(dir->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0) {
        log_warning("%s: cannot be made durable: %s", dir->path, strerror(errno));
    }
    if (fd >= 0) {
        close(fd);
    }
}

/* ---- marks ---- */

bool dir_has(const DataDir *dir, const char *name)
{
    AUTO_FREE char *path = dir_file(dir, name);
    return access(path, F_OK) == 0;
}

void dir_mark(const DataDir *dir, const char *name)
{
    AUTO_FREE char *path = dir_file(dir, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        log_warning("cannot make %s: %s", path, strerror(errno));
        return;
    }
    close(fd);
    dir_sync(dir);
}

void dir_unmark(const DataDir *dir, const char *name)
{
    AUTO_FREE char *path = dir_file(dir, name);
    if (unlink(path) == 0) {
        dir_sync(dir);
    } else if (errno != ENOENT) {
        log_warning("cannot remove %s: %s", path, strerror(errno));
    }
}

/* ---- identity ---- */

static Err read_identity(const char *path, int fd, uint8_t seed[EVENT_SEED_BYTES], char **ret_error)
{
    uint8_t read_bytes[EVENT_SEED_BYTES + 1];
    ssize_t len = read(fd, read_bytes, sizeof(read_bytes));
    if (len < 0) {
        return say_errno(ret_error, "read", path);
    }
    if (len == EVENT_SEED_BYTES) {
        memcpy(seed, read_bytes, EVENT_SEED_BYTES);
    }
    explicit_bzero(read_bytes, sizeof(read_bytes));
    if (len != EVENT_SEED_BYTES) {
        store_say(ret_error,
                  "%s has %zd bytes where a node's identity has %d: put its copy back, or move it "
                  "away to become a new node",
                  path, len, EVENT_SEED_BYTES);
        return ERR_INVALID;
    }
    struct stat status;
    if (fstat(fd, &status) == 0 && (status.st_mode & 077) != 0) {
        log_warning("%s could be read by others; now it cannot", path);
        if (fchmod(fd, 0600) != 0) {
            log_warning("%s: %s", path, strerror(errno));
        }
    }
    return ERR_OK;
}

/* Whole under another name first: a crash leaves either no identity or all of it. */
static Err make_identity(const DataDir *dir, const char *path, uint8_t seed[EVENT_SEED_BYTES],
                         char **ret_error)
{
    AUTO_FREE char *draft = dir_file(dir, "identity.new");
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return say_errno(ret_error, "make", draft);
    }
    uint8_t made[EVENT_SEED_BYTES];
    random_bytes(made, sizeof(made));
    errno = EIO;
    bool done = write(fd, made, sizeof(made)) == (ssize_t)sizeof(made) && fsync(fd) == 0;
    if (!done || link(draft, path) != 0) { /* unlike rename(2), never over another */
        Err err = say_errno(ret_error, "make", path);
        explicit_bzero(made, sizeof(made));
        close(fd);
        unlink(draft);
        return err;
    }
    close(fd);
    unlink(draft);
    dir_sync(dir);
    memcpy(seed, made, sizeof(made));
    explicit_bzero(made, sizeof(made));
    return ERR_OK;
}

Err dir_identity(const DataDir *dir, uint8_t seed[EVENT_SEED_BYTES], char **ret_error)
{
    AUTO_FREE char *path = dir_file(dir, "identity");
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) {
        return make_identity(dir, path, seed, ret_error);
    }
    if (fd < 0) {
        return say_errno(ret_error, "read", path);
    }
    Err err = read_identity(path, fd, seed, ret_error);
    close(fd);
    return err;
}

bool dir_read_identity(const DataDir *dir, uint8_t seed[EVENT_SEED_BYTES])
{
    AUTO_FREE char *path = dir_file(dir, "identity");
    AUTO_FREE char *why = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    Err err = read_identity(path, fd, seed, &why);
    close(fd);
    return err == ERR_OK;
}

/* ---- setting aside ---- */

char *dir_free_name(const DataDir *dir, const char *word)
{
    char stamp[sizeof("20261122T160000Z")];
    time_t now = time(NULL);
    struct tm utc;
    gmtime_r(&now, &utc);
    strftime(stamp, sizeof(stamp), "%Y%m%dT%H%M%SZ", &utc);
    StrBuf name = {0};
    strbuf_addf(&name, "%s/log.db.%s-%s", dir->path, word, stamp);
    size_t len = name.len;
    for (int n = 2; access(strbuf_text(&name), F_OK) == 0; n++) {
        name.len = len;
        strbuf_addf(&name, "-%d", n);
    }
    return strbuf_take(&name);
}

Err dir_set_aside(const DataDir *dir, const char *word, char **ret_name)
{
    AUTO_FREE char *log = dir_file(dir, "log.db");
    AUTO_FREE char *log_wal = dir_file(dir, "log.db-wal");
    AUTO_FREE char *log_shm = dir_file(dir, "log.db-shm");
    AUTO_FREE char *name = dir_free_name(dir, word);
    AUTO_FREE char *name_wal = NULL;
    store_say(&name_wal, "%s-wal", name);
    /* The -wal first: should it end between the two, log.db is still there to be set aside, and
     * nothing new begins beside an old -wal. */
    if ((rename(log_wal, name_wal) != 0 && errno != ENOENT) || rename(log, name) != 0) {
        return say_errno(ret_name, "set aside", log);
    }
    unlink(log_shm);
    dir_sync(dir);
    mem_free(*ret_name);
    *ret_name = TAKE(name);
    return ERR_OK;
}

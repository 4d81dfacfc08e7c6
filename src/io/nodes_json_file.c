/* nodes.json as a file: reading it, and making it where there is none. */
#include "base/random.h"
#include "base/text.h"
#include "io/nodes_json.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NODES_JSON_DEFAULT[] = "[\n"
                                         "    {\"host\": \"localhost\", \"port\": 50051},\n"
                                         "    {\"host\": \"localhost\", \"port\": 50052},\n"
                                         "    {\"host\": \"localhost\", \"port\": 50053}\n"
                                         "]\n";

static Err write_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t done = write(fd, text, len);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return ERR_IO;
        }
        text += done;
        len -= (size_t)done;
    }
    return ERR_OK;
}

/* Gives temporary the name path unless somebody else has made path by now: three nodes started at
 * once in one folder make it once.
 * ERR_EXISTS: somebody has. ERR_IO: errno says why. */
static Err publish(const char *temporary, const char *path)
{
    int result = renameat2(AT_FDCWD, temporary, AT_FDCWD, path, RENAME_NOREPLACE);
    if (result != 0 && (errno == EINVAL || errno == ENOSYS)) { /* some file systems cannot */
        result = link(temporary, path);
    }
    if (result == 0) {
        return ERR_OK;
    }
    return errno == EEXIST ? ERR_EXISTS : ERR_IO;
}

static Err make_file(const char *path)
{
    StrBuf temporary = {0};
    const char *slash = strrchr(path, '/');
    size_t folder_len = slash != NULL ? (size_t)(slash - path) + 1 : 0;
    strbuf_add(&temporary, path, folder_len);
    strbuf_addf(&temporary, ".nodes.json.%016" PRIx64, random_u64());
    int fd = open(strbuf_text(&temporary), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    Err err = fd >= 0 ? ERR_OK : ERR_IO;
    if (fd >= 0) {
        err = write_all(fd, NODES_JSON_DEFAULT, strlen(NODES_JSON_DEFAULT));
        if (err == ERR_OK && fsync(fd) != 0 && errno != EINVAL) {
            err = ERR_IO;
        }
        int why = errno;
        if (close(fd) != 0 && err == ERR_OK) {
            err = ERR_IO;
            why = errno;
        }
        errno = why;
        if (err == ERR_OK) {
            err = publish(strbuf_text(&temporary), path);
        }
        why = errno;
        unlink(strbuf_text(&temporary)); /* gone already where it was renamed */
        errno = why;
    }
    strbuf_done(&temporary);
    return err;
}

static Err read_fd(int fd, StrBuf *text)
{
    char chunk[16384];
    while (text->len <= NODES_JSON_MAX_BYTES) {
        ssize_t got = read(fd, chunk, sizeof(chunk));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return ERR_IO;
        }
        if (got == 0) {
            break;
        }
        strbuf_add(text, chunk, (size_t)got);
    }
    return ERR_OK;
}

/* ERR_NOT_FOUND: no such file. ERR_DENIED, ERR_IO: errno says why. */
static Err read_file(const char *path, StrBuf *text)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        if (errno == ENOENT) {
            return ERR_NOT_FOUND;
        }
        return errno == EACCES || errno == EPERM ? ERR_DENIED : ERR_IO;
    }
    Err err = read_fd(fd, text);
    int why = errno;
    close(fd);
    errno = why;
    return err;
}

static Err cannot_read(const char *path, Err err, int why, char **ret_error)
{
    StrBuf message = {0};
    text_sanitise(&message, path, strlen(path));
    strbuf_addf(&message, ": cannot be read: %s; %s", strerror(why),
                why == EISDIR ? "name a file in it" : "mend that or name another file");
    *ret_error = strbuf_take(&message);
    return err;
}

Err nodes_json_load(const char *path, const NodesJsonSelf *self, NodesJson *ret_nodes,
                    char **ret_error)
{
    AUTO_STRBUF StrBuf text = {0};
    Err err = read_file(path, &text);
    bool made = false;
    int why_not_made = 0;
    if (err == ERR_NOT_FOUND) {
        Err make_err = make_file(path);
        if (make_err == ERR_EXISTS) { /* another node was faster */
            err = read_file(path, &text);
        } else {
            made = make_err == ERR_OK;
            why_not_made = made ? 0 : errno;
            strbuf_add_string(&text, NODES_JSON_DEFAULT);
            err = ERR_OK;
        }
    }
    if (err != ERR_OK) {
        return cannot_read(path, err == ERR_NOT_FOUND ? ERR_IO : err, errno, ret_error);
    }
    NodesJson nodes = {0};
    err = nodes_json_parse(path, strbuf_text(&text), text.len, self, &nodes, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    nodes.made = made;
    if (why_not_made != 0) {
        StrBuf message = {0};
        text_sanitise(&message, path, strlen(path));
        strbuf_addf(&message,
                    ": cannot be made: %s; using localhost 50051, 50052 and 50053 this time",
                    strerror(why_not_made));
        nodes_json_warn(&nodes, &message);
    }
    *ret_nodes = nodes;
    return ERR_OK;
}

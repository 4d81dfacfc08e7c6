/* The environment says where; a directory there is a node's if its name is a port. */
#include "io/data_dir.h"

#include "base/strbuf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* More on one line would not be read. */
enum { LISTED_MAX = 20, PORT_TEXT_BYTES = sizeof("65535") };

/* The variable's value, where it is an absolute path. */
static const char *absolute(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] == '/' ? value : NULL;
}

/* The directory that has those of all nodes. */
static Err root_of(StrBuf *root, char **ret_text)
{
    const char *data_home = absolute("XDG_DATA_HOME");
    const char *home = absolute("HOME");
    if (data_home == NULL && home == NULL) {
        *ret_text = mem_copy_string("where is the data to be kept? Neither XDG_DATA_HOME nor HOME "
                                    "is set to an absolute path: name a directory with --data");
        return ERR_NOT_FOUND;
    }
    if (data_home != NULL) {
        strbuf_addf(root, "%s/chat_node", data_home);
    } else {
        strbuf_addf(root, "%s/.local/share/chat_node", home);
    }
    return ERR_OK;
}

static Err take_given(const char *given, char **ret_path, char **ret_text)
{
    if (given[0] == '\0') {
        *ret_text = mem_copy_string("--data needs the name of a directory");
        return ERR_INVALID;
    }
    *ret_path = mem_copy_string(given);
    return ERR_OK;
}

Err data_dir_of(const char *given, uint16_t port, char **ret_path, char **ret_text)
{
    if (given != NULL) {
        return take_given(given, ret_path, ret_text);
    }
    AUTO_STRBUF StrBuf path = {0};
    Err err = root_of(&path, ret_text);
    if (err == ERR_OK) {
        strbuf_addf(&path, "/%u", (unsigned)port);
        *ret_path = strbuf_take(&path);
    }
    return err;
}

/* ---- looking for the only one ---- */

/* Ports that have a directory: a set, so that they come out in order. */
typedef struct Found {
    uint8_t ports[UINT16_MAX + 1];
    unsigned count;
} Found;

/* 0: not a port as data_dir_of writes it. */
static uint16_t port_of_name(const char *name)
{
    unsigned port = 0;
    char same[PORT_TEXT_BYTES + 1];
    for (size_t i = 0; name[i] != '\0'; i++) {
        if (name[i] < '0' || name[i] > '9' || i + 1 == PORT_TEXT_BYTES) {
            return 0;
        }
        port = port * 10 + (unsigned)(name[i] - '0');
    }
    snprintf(same, sizeof(same), "%u", port);
    return port <= UINT16_MAX && strcmp(same, name) == 0 ? (uint16_t)port : 0;
}

static void look_through(DIR *directory, Found *found)
{
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        uint16_t port = port_of_name(entry->d_name);
        struct stat status;
        if (port != 0 && fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 &&
            S_ISDIR(status.st_mode)) {
            found->ports[port] = 1;
            found->count++;
        }
    }
}

static Err say_none(const char *root, char **ret_text)
{
    *ret_text = strbuf_format(
        "no node has kept anything in %s: start one (chat_node PORT), or name a directory "
        "with --data",
        root);
    return ERR_NOT_FOUND;
}

static Err say_several(const char *root, const Found *found, char **ret_text)
{
    AUTO_STRBUF StrBuf text = {0};
    strbuf_addf(&text, "%u nodes have kept something in %s (", found->count, root);
    unsigned listed = 0;
    for (unsigned port = 1; port <= UINT16_MAX && listed < LISTED_MAX; port++) {
        if (found->ports[port] != 0) {
            strbuf_addf(&text, "%s%u", listed++ > 0 ? ", " : "", port);
        }
    }
    if (listed < found->count) {
        strbuf_addf(&text, ", and %u more", found->count - listed);
    }
    strbuf_add_string(&text, "): say which by its port, or name a directory with --data");
    *ret_text = strbuf_take(&text);
    return ERR_EXISTS;
}

static Err say_unreadable(const char *root, int error, char **ret_text)
{
    *ret_text = strbuf_format("cannot look into %s: %s", root, strerror(error));
    return error == EACCES || error == EPERM ? ERR_DENIED : ERR_IO;
}

Err data_dir_find(const char *given, char **ret_path, char **ret_text)
{
    if (given != NULL) {
        return take_given(given, ret_path, ret_text);
    }
    AUTO_STRBUF StrBuf root = {0};
    Err err = root_of(&root, ret_text);
    if (err != ERR_OK) {
        return err;
    }
    DIR *directory = opendir(root.text);
    if (directory == NULL) {
        return errno == ENOENT ? say_none(root.text, ret_text)
                               : say_unreadable(root.text, errno, ret_text);
    }
    AUTO_FREE Found *found = mem_new(Found);
    look_through(directory, found);
    closedir(directory);
    if (found->count == 0) {
        return say_none(root.text, ret_text);
    }
    if (found->count > 1) {
        return say_several(root.text, found, ret_text);
    }
    const uint8_t *only = memchr(found->ports, 1, sizeof(found->ports));
    strbuf_addf(&root, "/%u", (unsigned)(only - found->ports));
    *ret_path = strbuf_take(&root);
    return ERR_OK;
}

/* A directory for one test, gone at its end. */
#pragma once

#include "base/strbuf.h"
#include "unit.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct TempDir {
    char path[64];
    char file[400]; /* of the last temp_file */
} TempDir;

static inline TempDir temp_dir_new(void)
{
    TempDir dir = {.path = "/tmp/chat_unit_XXXXXX"};
    assert_non_null(mkdtemp(dir.path));
    return dir;
}

static inline const char *temp_file(TempDir *dir, const char *name)
{
    snprintf(dir->file, sizeof(dir->file), "%s/%s", dir->path, name);
    return dir->file;
}

static inline size_t temp_count(const TempDir *dir)
{
    size_t count = 0;
    DIR *directory = opendir(dir->path);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        count += entry->d_name[0] != '.' ? 1 : 0;
    }
    closedir(directory);
    return count;
}

static inline void temp_put(TempDir *dir, const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(temp_file(dir, name), "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
    assert_int_equal(chmod(dir->file, mode), 0);
}

static inline void temp_dir_done(TempDir *dir)
{
    DIR *directory = opendir(dir->path);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            unlink(temp_file(dir, entry->d_name));
        }
    }
    closedir(directory);
    assert_int_equal(rmdir(dir->path), 0);
}

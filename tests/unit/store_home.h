/* A store in a directory of its own, authors who fill it, and what it says as readable text. */
#pragma once

#include "base/strbuf.h"
#include "io/store.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- authors ---- */

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
    uint64_t hlc;
    const char *sender;
    const char *room;
    int kind;
} Author;

static const uint64_t DAY = UINT64_C(24 * 60 * 60 * 1000) << HLC_COUNTER_BITS;
static const uint64_t START = UINT64_C(1700000000000) << HLC_COUNTER_BITS;

static inline Author author_of(uint8_t byte, uint64_t epoch, const char *sender)
{
    uint8_t seed[EVENT_SEED_BYTES];
    memset(seed, byte, sizeof(seed));
    Author author = {.hlc = START, .sender = sender, .room = "lobby", .kind = LOG_TEXT};
    event_signer_init(&author.signer, seed);
    memcpy(author.stream.origin, author.signer.public_key, EVENT_KEY_BYTES);
    author.stream.epoch = epoch;
    return author;
}

static inline LogEvent *unsigned_event(Author *author, const char *text)
{
    EventFields fields = {
        .stream = author->stream,
        .seq = ++author->seq,
        .prev_hash = author->last,
        .hlc = ++author->hlc,
        .room = author->room,
        .room_len = strlen(author->room),
        .kind = author->kind,
        .sender = author->sender,
        .sender_len = strlen(author->sender),
        .body = (const uint8_t *)text,
        .body_len = strlen(text),
    };
    LogEvent *event = event_new(&fields);
    author->last = event->hash;
    return event;
}

static inline LogEvent *event_by(Author *author, const char *text)
{
    LogEvent *event = unsigned_event(author, text);
    event_sign(event, &author->signer);
    return event;
}

/* ---- a store, its loop and its directory ---- */

typedef struct Home {
    char directory[64];
    Loop *loop;
    Store *store;
    unsigned state_changes;
    bool closed;
} Home;

static inline void on_state(void *context)
{
    ((Home *)context)->state_changes++;
}

static inline void on_closed(void *context)
{
    ((Home *)context)->closed = true;
}

static inline Err home_try_open(Home *home, bool read_only, char **ret_error)
{
    StoreOptions options = {
        .directory = home->directory,
        .read_only = read_only,
        .state_changed = on_state,
        .context = home,
    };
    return store_open(&options, home->loop, &home->store, ret_error);
}

static inline void home_open(Home *home)
{
    char *error = NULL;
    Err err = home_try_open(home, false, &error);
    if (err != ERR_OK) {
        fail_msg("store_open: %s", error);
    }
}

static inline Home home_new(void)
{
    Home home = {.directory = "/tmp/chat-store-XXXXXX"};
    assert_non_null(mkdtemp(home.directory));
    strcat(home.directory, "/data");
    home.loop = loop_new();
    return home;
}

static inline void turn(Home *home)
{
    uv_run(loop_uv(home->loop), UV_RUN_ONCE);
}

static inline void home_close(Home *home)
{
    home->closed = false;
    store_close(TAKE(home->store), on_closed, home);
    while (!home->closed) {
        turn(home);
    }
}

static inline void remove_files(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return; /* nothing was ever made */
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char file[400];
        snprintf(file, sizeof(file), "%s/%s", path, entry->d_name);
        unlink(file);
    }
    closedir(directory);
    rmdir(path);
}

static inline void home_done(Home *home)
{
    if (home->store != NULL) {
        home_close(home);
    }
    loop_stop(home->loop);
    loop_run(home->loop);
    loop_free(home->loop);
    remove_files(home->directory);
    *strrchr(home->directory, '/') = '\0';
    rmdir(home->directory);
}

static const char *home_path(const Home *home, const char *name)
{
    static char path[400];
    snprintf(path, sizeof(path), "%s/%s", home->directory, name);
    return path;
}

/* ---- asking and waiting ---- */

typedef struct Answers {
    unsigned count;
    unsigned failed;
    StoreAppended last;
} Answers;

static inline void on_appended(void *context, const StoreAppended *result)
{
    Answers *answers = context;
    answers->count++;
    answers->failed += result->err != ERR_OK;
    answers->last = *result;
}

/* answers: NULL where nobody waits for it. */
static inline Err give(Home *home, LogEvent *const events[], size_t count, unsigned flags,
                       Answers *answers)
{
    StoreBatch batch = {.events = events, .count = count, .flags = flags};
    return store_append(home->store, &batch, answers != NULL ? on_appended : NULL, answers);
}

static inline StoreAppended append(Home *home, LogEvent *const events[], size_t count,
                                   unsigned flags)
{
    Answers answers = {0};
    assert_int_equal(give(home, events, count, flags, &answers), ERR_OK);
    assert_int_equal(answers.count, 0); /* never from within */
    while (answers.count == 0) {
        turn(home);
    }
    return answers.last;
}

static inline StoreAppended append_text(Home *home, Author *author, const char *text)
{
    LogEvent *event = event_by(author, text);
    StoreAppended result = append(home, &event, 1, 0);
    event_unref(event);
    return result;
}

static inline void add(Home *home, Author *author, const char *text)
{
    assert_int_equal(append_text(home, author, text).err, ERR_OK);
}

/* What a read gave, as text: "hello;world;+" ("+": there is more), or the error. */
typedef struct Text {
    StrBuf text;
    bool done;
    bool more;
    uint64_t first_seq;
    EventFields first; /* its texts are gone */
} Text;

static inline void on_read(void *context, const StoreEvents *result)
{
    Text *text = context;
    text->done = true;
    text->more = result->more;
    if (result->err != ERR_OK) {
        strbuf_add_string(&text->text, err_text(result->err));
        return;
    }
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        strbuf_add(&text->text, (const char *)fields->body, fields->body_len);
        strbuf_add_char(&text->text, ';');
    }
    if (result->count > 0) {
        text->first = result->events[0]->fields;
    }
    strbuf_add_string(&text->text, result->more ? "+" : "");
}

static inline void wait_text(Home *home, Text *text)
{
    strbuf_clear(&text->text);
    text->done = false;
    while (!text->done) {
        turn(home);
    }
}

static inline void assert_run(Home *home, const StoreRun *run, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_read_run(home->store, run, on_read, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static inline void on_hits(void *context, const StoreHits *result)
{
    Text *text = context;
    text->done = true;
    if (result->err != ERR_OK) {
        strbuf_add_string(&text->text, err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        for (const char *c = result->hits[i].snippet; *c != '\0'; c++) {
            strbuf_add_char(&text->text, *c == '\x02' ? '[' : *c == '\x03' ? ']' : *c);
        }
        strbuf_add_char(&text->text, ';');
    }
    strbuf_add_string(&text->text, result->more ? "+" : "");
}

static inline void assert_search(Home *home, const StoreSearch *search, const char *expected)
{
    Text text = {0};
    assert_int_equal(store_search(home->store, search, on_hits, &text), ERR_OK);
    wait_text(home, &text);
    assert_string_equal(strbuf_text(&text.text), expected);
    strbuf_done(&text.text);
}

static inline void assert_words(Home *home, const char *words, const char *expected)
{
    StoreSearch search = {.words = words};
    assert_search(home, &search, expected);
}

static inline void export_hash(Home *home, uint8_t hash[EVENT_HASH_BYTES], unsigned *ret_parts)
{
    StoreExport *export = store_export_new(home->store);
    Text text = {.more = true};
    *ret_parts = 0;
    while (text.more) {
        assert_int_equal(store_export_next(export, 300, on_read, &text), ERR_OK);
        wait_text(home, &text);
        ++*ret_parts;
    }
    strbuf_done(&text.text);
    store_export_hash(export, hash);
    store_export_free(export);
}

/* ---- files ---- */

static inline mode_t mode_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

static inline void write_at(const char *path, long offset, const void *data, size_t len)
{
    int fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, len, offset), (ssize_t)len);
    close(fd);
}

static inline char *contents(const char *path, size_t *ret_len)
{
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *ret_len = (size_t)ftell(file);
    rewind(file);
    char *text = mem_alloc(*ret_len + 1);
    assert_int_equal(fread(text, 1, *ret_len, file), *ret_len);
    fclose(file);
    return text;
}

static inline char *found_file(const Home *home, const char *start)
{
    char *found = NULL;
    DIR *directory = opendir(home->directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strncmp(entry->d_name, start, strlen(start)) == 0) {
            mem_free(found);
            found = mem_copy_string(home_path(home, entry->d_name));
        }
    }
    closedir(directory);
    return found;
}

static inline void fill(Home *home, Author *author, int count)
{
    LogEvent *events[100];
    for (int i = 0; i < count; i += 100) {
        for (int j = 0; j < 100; j++) {
            events[j] =
                event_by(author, "some words that fill a line of the log, one after another");
        }
        assert_int_equal(append(home, events, 100, 0).err, ERR_OK);
        for (int j = 0; j < 100; j++) {
            event_unref(events[j]);
        }
    }
}

/* kill -9 at random points of the store's writing, then opened again: never a hole, never a lost
 * acknowledged event, never a duplicate.
 *
 *   parent --fork--> child: appends, and tells through a pipe what was acknowledged
 *     |  after 0 to 60 ms: SIGKILL
 *     `--fork--> child: opens what is left, and compares it with what the pipe said
 *
 * CHAT_CRASH_ROUNDS (500) is how often, CHAT_CRASH_SEED repeats a run's choices (not the kernel's).
 */
#include "base/log.h"
#include "base/random.h"
#include "io/store_impl.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STREAMS = 5,
    IN_FLIGHT_MAX = 24,
    BATCH_MAX = 20,
    LIFE_MAX_US = 60000,
    /* So that the log stays small enough to be read whole after each, and beginnings are hit too.
     */
    ROUNDS_A_DIRECTORY = 25,
};

/* What the pipe says: all of this stream up to seq is durable. */
typedef struct Ack {
    uint64_t stream;
    uint64_t seq;
} Ack;

static uint64_t random_state;

static uint64_t draw(uint64_t below)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood, 2014) */
    uint64_t z = random_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

[[gnu::noreturn, gnu::format(printf, 1, 2)]] static void broken(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(1);
}

/* ---- authors, and where they stand in the log that was opened ---- */

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
} Author;

static void authors_of(const Store *store, Author authors[STREAMS])
{
    size_t count = 0;
    const StoreHead *heads = store_heads(store, &count);
    for (unsigned i = 0; i < STREAMS; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)i};
        Author *author = &authors[i];
        memset(author, 0, sizeof(*author));
        event_signer_init(&author->signer, seed);
        memcpy(author->stream.origin, author->signer.public_key, EVENT_KEY_BYTES);
        author->stream.epoch = 1;
        for (size_t j = 0; j < count; j++) {
            if (stream_id_compare(&heads[j].stream, &author->stream) == 0) {
                if (heads[j].lo != 1) {
                    broken("stream %u begins at %" PRIu64, i, heads[j].lo);
                }
                author->seq = heads[j].hi;
                author->last = heads[j].hash;
            }
        }
    }
}

static LogEvent *next_event(Author *author, bool last)
{
    static char body[2048];
    size_t len = 1 + draw(draw(8) == 0 ? sizeof(body) : 100);
    memset(body, 'a' + (int)draw(26), len);
    EventFields fields = {
        .stream = author->stream,
        .seq = ++author->seq,
        .prev_hash = author->last,
        .hlc = (uint64_t)loop_wall_ms() << HLC_COUNTER_BITS,
        .room = "lobby",
        .room_len = 5,
        .kind = LOG_TEXT,
        .sender = "ann",
        .sender_len = 3,
        .body = (const uint8_t *)body,
        .body_len = len,
    };
    LogEvent *event = event_new(&fields);
    if (last) {
        event_sign(event, &author->signer);
    }
    author->last = event->hash;
    return event;
}

/* ---- the one that is killed ---- */

typedef struct Life {
    Loop *loop;
    Store *store;
    Author authors[STREAMS];
    int pipe;
    unsigned in_flight;
} Life;

typedef struct Flight {
    Life *life;
    Ack ack;
} Flight;

static void life_append(Life *life);

static void on_appended(void *context, const StoreAppended *result)
{
    Flight *flight = context;
    Life *life = flight->life;
    if (result->err != ERR_OK) {
        broken("append: %s", err_text(result->err));
    }
    if (write(life->pipe, &flight->ack, sizeof(flight->ack)) != sizeof(flight->ack)) {
        broken("pipe: %s", strerror(errno));
    }
    mem_free(flight);
    life->in_flight--;
    while (life->in_flight < 1 + draw(IN_FLIGHT_MAX)) {
        life_append(life);
    }
}

static void life_append(Life *life)
{
    LogEvent *events[BATCH_MAX + 1];
    size_t stream = draw(STREAMS);
    Author *author = &life->authors[stream];
    size_t count = 1 + draw(draw(2) == 0 ? 1 : BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        events[i] = next_event(author, i + 1 == count);
    }
    Flight *flight = mem_new(Flight);
    *flight = (Flight){.life = life, .ack = {.stream = stream, .seq = author->seq}};
    unsigned flags = draw(4) == 0 ? STORE_LAZY : 0;
    for (int times = draw(8) == 0 ? 2 : 1; times > 0; times--) { /* at times once more */
        Err err = store_append(life->store, events, count, flags, times == 1 ? on_appended : NULL,
                               flight);
        if (err != ERR_OK) {
            broken("append: %s", err_text(err));
        }
    }
    for (size_t i = 0; i < count; i++) {
        event_unref(events[i]);
    }
    life->in_flight++;
}

static Store *open_or_die(const char *directory, Loop *loop)
{
    StoreOptions options = {.directory = directory};
    Store *store = NULL;
    char *error = NULL;
    if (store_open(&options, loop, &store, &error) != ERR_OK) {
        broken("%s", error);
    }
    if (store_notice(store) != NULL) {
        broken("%s", store_notice(store));
    }
    return store;
}

static void live(const char *directory, int pipe)
{
    Life life = {.loop = loop_new(), .pipe = pipe};
    life.store = open_or_die(directory, life.loop);
    authors_of(life.store, life.authors);
    life_append(&life);
    loop_run(life.loop);
}

/* ---- the one that looks at what is left ---- */

typedef struct Check {
    const StreamId *stream;
    uint64_t seq;
    EventHash last;
    bool done;
    bool more;
} Check;

static void on_run(void *context, const StoreEvents *result)
{
    Check *check = context;
    if (result->err != ERR_OK) {
        broken("read: %s", err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        const EventFields *fields = &result->events[i]->fields;
        if (fields->seq != ++check->seq ||
            memcmp(&fields->prev_hash, &check->last, sizeof(EventHash)) != 0) {
            broken("a hole before %" PRIu64, fields->seq);
        }
        check->last = result->events[i]->hash;
    }
    check->more = result->more;
    check->done = true;
}

static void check_stream(Loop *loop, Store *store, const Author *author, uint64_t acked)
{
    if (author->seq < acked) {
        broken("acknowledged up to %" PRIu64 ", and only %" PRIu64 " are there", acked,
               author->seq);
    }
    Check check = {.stream = &author->stream, .more = author->seq > 0};
    while (check.more) {
        StoreRun run = {.stream = author->stream, .from = check.seq + 1};
        check.done = false;
        if (store_read_run(store, &run, on_run, &check) != ERR_OK) {
            broken("the read was refused");
        }
        while (!check.done) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
    }
    if (check.seq != author->seq || memcmp(&check.last, &author->last, sizeof(EventHash)) != 0) {
        broken("the stream ends at %" PRIu64 ", not at %" PRIu64, check.seq, author->seq);
    }
}

/* Nothing but what the streams hold, and in the search what they say, once each. */
static void check_tables(const char *directory, uint64_t events)
{
    AUTO_FREE char *file = NULL;
    store_say(&file, "%s/log.db", directory);
    Db db;
    if (db_open(&db, file, DB_WRITE) != SQLITE_OK) {
        broken("cannot open %s", file);
    }
    if (db_number(&db, "SELECT count(*) FROM events", -1) != (int64_t)events) {
        broken("there are other rows than the %" PRIu64 " events of the streams", events);
    }
    if (db_number(&db,
                  "SELECT (SELECT count(*) FROM docs) = (SELECT total(indexed) FROM streams)"
                  " AND (SELECT count(*) = count(DISTINCT event) FROM docs)",
                  0) != 1) {
        broken("what is indexed is not what the streams say");
    }
    int code = sqlite3_exec(
        db.sqlite, "INSERT INTO words(words, rank) VALUES('integrity-check', 1)", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        broken("the search's index: %s", sqlite3_errmsg(db.sqlite));
    }
    db_close(&db);
}

static void on_closed(void *context)
{
    *(bool *)context = true;
}

static void look(const char *directory, const uint64_t acked[STREAMS],
                 uint8_t seed[EVENT_SEED_BYTES])
{
    Loop *loop = loop_new();
    Store *store = open_or_die(directory, loop);
    Author authors[STREAMS];
    static const uint8_t none[EVENT_SEED_BYTES] = {0};
    uint64_t events = 0;
    if (memcmp(seed, none, sizeof(none)) != 0 &&
        memcmp(seed, store_seed(store), sizeof(none)) != 0) {
        broken("the node has become another one");
    }
    authors_of(store, authors);
    for (size_t i = 0; i < STREAMS; i++) {
        check_stream(loop, store, &authors[i], acked[i]);
        events += authors[i].seq;
    }
    check_tables(directory, events);
    if (draw(2) == 0) {
        _exit(0); /* as a crash would */
    }
    bool closed = false;
    store_close(store, on_closed, &closed);
    while (!closed) {
        uv_run(loop_uv(loop), UV_RUN_ONCE);
    }
    _exit(0);
}

/* ---- the parent: no threads, so that it may fork ---- */

static void drain(int pipe, uint64_t acked[STREAMS], uint64_t *total)
{
    Ack ack;
    while (read(pipe, &ack, sizeof(ack)) == (ssize_t)sizeof(ack)) {
        if (ack.seq > acked[ack.stream]) {
            *total += ack.seq - acked[ack.stream];
            acked[ack.stream] = ack.seq;
        }
    }
}

static bool one_round(const char *directory, uint64_t acked[STREAMS], uint8_t *seed,
                      uint64_t *total)
{
    int ends[2];
    uint64_t life_us = draw(LIFE_MAX_US);
    uint64_t child_state = draw(UINT64_MAX);
    if (pipe(ends) != 0) {
        return false;
    }
    pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        random_state = child_state;
        live(directory, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    /* The pipe holds 4096 acknowledgements: more than one life gives, and a full one only waits. */
    usleep((useconds_t)life_us);
    kill(writer, SIGKILL);
    int status = 0;
    waitpid(writer, &status, 0);
    drain(ends[0], acked, total);
    close(ends[0]);
    if (!WIFSIGNALED(status)) {
        return false; /* it has said why */
    }
    pid_t looker = fork();
    if (looker == 0) {
        random_state = child_state + 1;
        look(directory, acked, seed);
    }
    waitpid(looker, &status, 0);
    AUTO_FREE char *path = NULL;
    store_say(&path, "%s/identity", directory);
    FILE *identity = fopen(path, "re");
    if (identity == NULL || fread(seed, 1, EVENT_SEED_BYTES, identity) != EVENT_SEED_BYTES) {
        return false;
    }
    fclose(identity);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void remove_directory(const char *path)
{
    DIR *directory = opendir(path);
    if (directory == NULL) {
        return;
    }
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        AUTO_FREE char *file = NULL;
        store_say(&file, "%s/%s", path, entry->d_name);
        unlink(file);
    }
    closedir(directory);
    rmdir(path);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : otherwise;
}

int main(void)
{
    uint64_t rounds = number_from("CHAT_CRASH_ROUNDS", 500);
    uint64_t seed = number_from("CHAT_CRASH_SEED", random_u64());
    char base[] = "/tmp/chat-crash-XXXXXX";
    if (sodium_init() < 0 || mkdtemp(base) == NULL) {
        return 1;
    }
    printf("CHAT_CRASH_ROUNDS=%" PRIu64 " CHAT_CRASH_SEED=0x%" PRIx64 "\n", rounds, seed);
    fflush(stdout);
    random_state = seed;
    AUTO_FREE char *directory = NULL;
    uint64_t acked[STREAMS] = {0};
    uint8_t identity[EVENT_SEED_BYTES] = {0};
    uint64_t total = 0;
    store_say(&directory, "%s/data", base);
    for (uint64_t i = 0; i < rounds; i++) {
        if (i % ROUNDS_A_DIRECTORY == 0) {
            remove_directory(directory);
            memset(acked, 0, sizeof(acked));
            memset(identity, 0, sizeof(identity));
        }
        if (!one_round(directory, acked, identity, &total)) {
            printf("round %" PRIu64 " failed; what is left is in %s\n", i, directory);
            return 1;
        }
    }
    remove_directory(directory);
    rmdir(base);
    printf("%" PRIu64 " kills, %" PRIu64 " events acknowledged, all there, once each\n", rounds,
           total);
    return 0;
}

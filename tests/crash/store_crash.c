/* kill -9 at random points of the store's writing, then opened again: never a hole, never a lost
 * acknowledged event, never a duplicate. And in the journal: every position that was acknowledged
 * is the same event, and every event has one position, but for those that were not to be shown.
 *
 * Stream 0 is the node's own: its events go into the journal as they are stored. Those of the
 * others are passed by some later batch, or by none before the kill.
 *
 * In every second directory streams are cut, those from CUT_FROM on, each once: nothing is appended
 * to one any more then, but what it held may still be passed. A cut that was acknowledged is never
 * undone; one that was not is whole or not there, and is asked for again by the next life.
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
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STREAMS = 17,
    STEADY = 5, /* that are written all the time */
    CUT_FROM = STEADY,
    CUTS_IN_LIFE = 3, /* fewer than that */
    IN_FLIGHT_MAX = 24,
    BATCH_MAX = 20,
    LIFE_MAX_US = 60000,
    /* So that the log stays small enough to be read whole after each, and beginnings are hit too.
     */
    ROUNDS_A_DIRECTORY = 25,
    PASSED_MAX = 200,  /* in one batch */
    UNSHOWN_EVERY = 7, /* of the others' events, this one is nothing to show */
    PIPE_BYTES = 1 << 20,
    POSITIONS_MAX = 1 << 20,
};

typedef enum AckKind {
    ACK_STORED,    /* all of this stream up to seq is durable */
    ACK_PLACES,    /* its events first..seq that are to be shown have the positions from this on */
    ACK_CUT_ASKED, /* what is past seq is to go: nothing is known of it yet */
    ACK_CUT,       /* it is gone */
} AckKind;

/* What the pipe says. */
typedef struct Ack {
    AckKind kind;
    uint64_t stream;
    uint64_t seq;
    uint64_t first;
    uint64_t position;
} Ack;

/* Which event a position was acknowledged to be; seq 0: it was not. */
typedef struct Place {
    uint32_t stream;
    uint32_t seq;
} Place;

typedef struct Cut {
    bool asked;
    bool done;
    uint64_t hi;
} Cut;

/* What one directory has promised. */
typedef struct Promises {
    bool has_cuts;
    uint64_t acked[STREAMS];
    Cut cuts[STREAMS];
    Place *places;
    uint8_t seed[EVENT_SEED_BYTES];
} Promises;

static bool is_shown(uint64_t stream, uint64_t seq)
{
    return stream == 0 || seq % UNSHOWN_EVERY != 0;
}

static uint64_t count_places(const Place *places)
{
    uint64_t count = 0;
    for (size_t i = 0; i < POSITIONS_MAX; i++) {
        count += places[i].seq != 0;
    }
    return count;
}

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
    uint64_t passed[STREAMS];   /* up to which seq */
    uint64_t passable[STREAMS]; /* also what was cut since it was stored */
    bool cut[STREAMS];
    unsigned cuts_left;
    uint64_t position; /* the journal's last */
    int pipe;
    unsigned in_flight;
} Life;

typedef struct Flight {
    Life *life;
    Ack acks[STREAMS + 2];
    size_t count;
} Flight;

static void flight_add(Flight *flight, size_t stream, uint64_t first, uint64_t last)
{
    Life *life = flight->life;
    flight->acks[flight->count++] = (Ack){.kind = ACK_PLACES,
                                          .stream = stream,
                                          .seq = last,
                                          .first = first,
                                          .position = life->position + 1};
    for (uint64_t seq = first; seq <= last; seq++) {
        life->position += is_shown(stream, seq);
    }
}

/* Some of what the others' streams hold, and of what this batch brings. */
static size_t pass_some(Flight *flight, StorePassed passed[PASSED_MAX])
{
    Life *life = flight->life;
    size_t count = 0;
    for (size_t i = 1; i < STREAMS; i++) {
        const Author *author = &life->authors[i];
        uint64_t first = life->passed[i] + 1;
        while (draw(3) > 0 && life->passed[i] < life->passable[i] && count < PASSED_MAX) {
            uint64_t seq = ++life->passed[i];
            passed[count++] = (StorePassed){author->stream, seq, is_shown(i, seq)};
        }
        if (life->passed[i] >= first) {
            flight_add(flight, i, first, life->passed[i]);
        }
    }
    return count;
}

/* ---- cuts ---- */

typedef struct CutFlight {
    Life *life;
    Ack ack;
} CutFlight;

static void tell(const Life *life, const Ack *acks, size_t count)
{
    size_t len = count * sizeof(Ack); /* less than PIPE_BUF: whole, or not at all */
    if (write(life->pipe, acks, len) != (ssize_t)len) {
        broken("pipe: %s", strerror(errno));
    }
}

static void on_cut(void *context, Err err)
{
    CutFlight *flight = context;
    if (err != ERR_OK) {
        broken("cut: %s", err_text(err));
    }
    flight->ack.kind = ACK_CUT;
    tell(flight->life, &flight->ack, 1);
    mem_free(flight);
}

static void life_cut(Life *life, size_t stream, uint64_t hi)
{
    CutFlight *flight = mem_new(CutFlight);
    *flight = (CutFlight){life, {.kind = ACK_CUT_ASKED, .stream = stream, .seq = hi}};
    tell(life, &flight->ack, 1);
    life->cut[stream] = true;
    store_cut(life->store, &life->authors[stream].stream, hi, on_cut, flight);
}

/* One after another, as those of a revocation are. */
static void cut_some(Life *life)
{
    for (size_t i = CUT_FROM; i < STREAMS && life->cuts_left > 0; i++) {
        uint64_t seq = life->authors[i].seq;
        if (!life->cut[i] && seq > 0 && draw(2) == 0) {
            life->cuts_left--;
            life_cut(life, i, draw(3) == 0 ? 0 : draw(seq + 1));
        }
    }
}

static void cut_again(Life *life, const Promises *promises)
{
    for (size_t i = CUT_FROM; i < STREAMS; i++) {
        const Cut *cut = &promises->cuts[i];
        life->cut[i] = cut->asked;
        if (cut->asked && (!cut->done || draw(4) == 0)) {
            uint64_t seq = life->authors[i].seq; /* what was not durable yet may be gone */
            life_cut(life, i, cut->hi < seq ? cut->hi : seq);
        }
    }
    life->cuts_left = promises->has_cuts ? (unsigned)draw(CUTS_IN_LIFE) : 0;
}

/* ---- batches ---- */

static void life_append(Life *life);

static void on_appended(void *context, const StoreAppended *result)
{
    Flight *flight = context;
    Life *life = flight->life;
    if (result->err != ERR_OK) {
        broken("append: %s", err_text(result->err));
    }
    tell(life, flight->acks, flight->count);
    mem_free(flight);
    life->in_flight--;
    while (life->in_flight < 1 + draw(IN_FLIGHT_MAX)) {
        life_append(life);
    }
}

/* Which one goes on: mostly one of the steady, and nothing that was cut. */
static size_t draw_stream(const Life *life)
{
    size_t stream = draw(life->cuts_left > 0 ? STREAMS : STEADY);
    return life->cut[stream] ? draw(STEADY) : stream;
}

static void life_append(Life *life)
{
    LogEvent *events[BATCH_MAX + 1];
    if (life->cuts_left > 0 && draw(6) == 0) {
        cut_some(life);
    }
    size_t stream = draw_stream(life);
    Author *author = &life->authors[stream];
    size_t count = 1 + draw(draw(2) == 0 ? 1 : BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        events[i] = next_event(author, i + 1 == count);
    }
    Flight *flight = mem_new(Flight);
    *flight = (Flight){.life = life, .acks = {{.stream = stream, .seq = author->seq}}, .count = 1};
    StorePassed passed[PASSED_MAX];
    StoreBatch batch = {.events = events, .count = count};
    batch.flags = draw(4) == 0 ? STORE_LAZY : 0;
    if (draw(8) == 0 && store_append(life->store, &batch, NULL, NULL) != ERR_OK) { /* twice */
        broken("append: it was not taken");
    }
    life->passable[stream] = author->seq;
    batch.position = life->position + 1;
    batch.passed = passed;
    batch.passed_count = pass_some(flight, passed);
    if (stream == 0) {
        batch.flags |= STORE_JOURNAL;
        flight_add(flight, 0, author->seq - count + 1, author->seq);
    }
    Err err = store_append(life->store, &batch, on_appended, flight);
    if (err != ERR_OK) {
        broken("append: %s", err_text(err));
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

static void live(const char *directory, const Promises *promises, int pipe)
{
    Life life = {.loop = loop_new(), .pipe = pipe};
    life.store = open_or_die(directory, life.loop);
    authors_of(life.store, life.authors);
    for (size_t i = 0; i < STREAMS; i++) {
        life.passed[i] = life.authors[i].seq; /* the open has seen to it */
        life.passable[i] = life.authors[i].seq;
    }
    cut_again(&life, promises);
    life.position = store_position(life.store);
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

static void check_length(uint64_t seq, uint64_t acked, const Cut *cut)
{
    if (cut->done && seq != cut->hi) {
        broken("cut behind %" PRIu64 ", and %" PRIu64 " are there", cut->hi, seq);
    }
    if (seq < acked && !(cut->asked && seq == cut->hi)) {
        broken("acknowledged up to %" PRIu64 ", and only %" PRIu64 " are there", acked, seq);
    }
}

static void check_stream(Loop *loop, Store *store, const Author *author)
{
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

/* ---- the journal that is left ---- */

typedef struct Journal {
    const Author *authors;
    const Promises *promises;
    bool *seen[STREAMS];
    uint64_t next;
    uint64_t acked; /* positions found that had been acknowledged */
    bool done;
} Journal;

static void check_place(Journal *journal, uint64_t position, const EventFields *fields)
{
    size_t stream = 0;
    while (stream < STREAMS &&
           stream_id_compare(&journal->authors[stream].stream, &fields->stream) != 0) {
        stream++;
    }
    if (stream == STREAMS || position >= POSITIONS_MAX) {
        broken("position %" PRIu64 " is an event of no stream", position);
    }
    const Place *place = &journal->promises->places[position];
    if (place->seq != 0 && (place->stream != stream || place->seq != fields->seq)) {
        broken("position %" PRIu64 " was event %u of stream %u, and is %" PRIu64 " of %zu",
               position, place->seq, place->stream, fields->seq, stream);
    }
    journal->acked += place->seq != 0;
    if (journal->seen[stream][fields->seq]) {
        broken("event %" PRIu64 " of stream %zu has two positions", fields->seq, stream);
    }
    journal->seen[stream][fields->seq] = true;
}

/* Only what was cut leaves them. */
static void check_holes(Journal *journal, uint64_t until)
{
    for (; journal->next < until; journal->next++) {
        const Place *place = &journal->promises->places[journal->next];
        bool cut = place->seq != 0 ? place->seq > journal->authors[place->stream].seq
                                   : journal->promises->has_cuts;
        if (!cut) {
            broken("the journal lacks position %" PRIu64, journal->next);
        }
        journal->acked += place->seq != 0;
    }
}

static void on_journal(void *context, const StoreJournal *result)
{
    Journal *journal = context;
    if (result->err != ERR_OK) {
        broken("journal: %s", err_text(result->err));
    }
    for (size_t i = 0; i < result->count; i++) {
        check_holes(journal, result->positions[i]);
        if (result->positions[i] != journal->next++) {
            broken("the journal goes back to position %" PRIu64, result->positions[i]);
        }
        check_place(journal, result->positions[i], &result->events[i]->fields);
    }
    check_holes(journal, result->next);
    if (result->next != journal->next) {
        broken("the journal goes on at %" PRIu64 ", not %" PRIu64, result->next, journal->next);
    }
    journal->done = true;
}

static void check_journal(Loop *loop, Store *store, const Author *authors, const Promises *promises)
{
    Journal journal = {.authors = authors, .promises = promises, .next = 1};
    uint64_t acked = count_places(promises->places);
    for (size_t i = 0; i < STREAMS; i++) {
        journal.seen[i] = mem_array(authors[i].seq + 1, sizeof(bool));
    }
    while (journal.next <= store_position(store)) {
        journal.done = false;
        if (store_read_journal(store, journal.next, 1 + draw(1000), 0, on_journal, &journal) !=
            ERR_OK) {
            broken("the read of the journal was refused");
        }
        while (!journal.done) {
            uv_run(loop_uv(loop), UV_RUN_ONCE);
        }
    }
    if (journal.acked != acked) {
        broken("%" PRIu64 " positions were acknowledged, and %" PRIu64 " are there", acked,
               journal.acked);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        for (uint64_t seq = 1; seq <= authors[i].seq; seq++) {
            if (!journal.seen[i][seq] && is_shown(i, seq)) {
                broken("event %" PRIu64 " of stream %zu has no position", seq, i);
            }
        }
        mem_free(journal.seen[i]);
    }
    if (!store_knows_cursor(store, store_life(store), store_position(store)) ||
        store_knows_cursor(store, store_life(store), store_position(store) + 1)) {
        broken("the journal's end is not what it is taken for");
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

static void look(const char *directory, const Promises *promises)
{
    Loop *loop = loop_new();
    Store *store = open_or_die(directory, loop);
    Author authors[STREAMS];
    static const uint8_t none[EVENT_SEED_BYTES] = {0};
    uint64_t events = 0;
    if (memcmp(promises->seed, none, sizeof(none)) != 0 &&
        memcmp(promises->seed, store_seed(store), sizeof(none)) != 0) {
        broken("the node has become another one");
    }
    authors_of(store, authors);
    for (size_t i = 0; i < STREAMS; i++) {
        check_length(authors[i].seq, promises->acked[i], &promises->cuts[i]);
        check_stream(loop, store, &authors[i]);
        events += authors[i].seq;
    }
    check_journal(loop, store, authors, promises);
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

static void note_places(Place *places, const Ack *ack)
{
    uint64_t position = ack->position;
    for (uint64_t seq = ack->first; seq <= ack->seq; seq++) {
        if (is_shown(ack->stream, seq) && position < POSITIONS_MAX) {
            places[position++] = (Place){(uint32_t)ack->stream, (uint32_t)seq};
        }
    }
}

typedef struct Totals {
    uint64_t events;
    uint64_t positions;
    uint64_t cuts;
    uint64_t cuts_broken_off;
} Totals;

static void note(Promises *promises, const Ack *ack, Totals *totals)
{
    Cut *cut = &promises->cuts[ack->stream];
    switch (ack->kind) {
    case ACK_STORED:
        if (ack->seq > promises->acked[ack->stream]) {
            totals->events += ack->seq - promises->acked[ack->stream];
            promises->acked[ack->stream] = ack->seq;
        }
        return;
    case ACK_PLACES:
        note_places(promises->places, ack);
        return;
    case ACK_CUT_ASKED:
        cut->asked = true;
        cut->hi = ack->seq;
        return;
    case ACK_CUT:
        totals->cuts += !cut->done;
        cut->done = true;
        return;
    }
}

static void drain(int pipe, Promises *promises, Totals *totals)
{
    Ack ack;
    while (read(pipe, &ack, sizeof(ack)) == (ssize_t)sizeof(ack)) {
        note(promises, &ack, totals);
    }
    for (size_t i = 0; i < STREAMS; i++) {
        totals->cuts_broken_off += promises->cuts[i].asked && !promises->cuts[i].done;
    }
}

static bool read_identity(const char *directory, uint8_t seed[EVENT_SEED_BYTES])
{
    AUTO_FREE char *path = NULL;
    store_say(&path, "%s/identity", directory);
    FILE *identity = fopen(path, "re");
    bool good = identity != NULL && fread(seed, 1, EVENT_SEED_BYTES, identity) == EVENT_SEED_BYTES;
    if (identity != NULL) {
        fclose(identity);
    }
    return good;
}

static bool one_round(const char *directory, Promises *promises, Totals *totals)
{
    int ends[2];
    uint64_t life_us = draw(LIFE_MAX_US);
    uint64_t child_state = draw(UINT64_MAX);
    if (pipe(ends) != 0 || fcntl(ends[1], F_SETPIPE_SZ, PIPE_BYTES) < 0) {
        return false;
    }
    pid_t writer = fork();
    if (writer == 0) {
        close(ends[0]);
        random_state = child_state;
        live(directory, promises, ends[1]);
        _exit(1);
    }
    close(ends[1]);
    /* The pipe holds 26,214 acknowledgements: more than one life gives; a full one only waits. */
    usleep((useconds_t)life_us);
    kill(writer, SIGKILL);
    int status = 0;
    waitpid(writer, &status, 0);
    drain(ends[0], promises, totals);
    close(ends[0]);
    if (!WIFSIGNALED(status)) {
        return false; /* it has said why */
    }
    pid_t looker = fork();
    if (looker == 0) {
        random_state = child_state + 1;
        look(directory, promises);
    }
    waitpid(looker, &status, 0);
    return read_identity(directory, promises->seed) && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
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
    Totals totals = {0};
    Promises promises = {.places = mem_array(POSITIONS_MAX, sizeof(Place))};
    store_say(&directory, "%s/data", base);
    for (uint64_t i = 0; i < rounds; i++) {
        if (i % ROUNDS_A_DIRECTORY == 0) {
            remove_directory(directory);
            totals.positions += count_places(promises.places);
            memset(promises.places, 0, POSITIONS_MAX * sizeof(Place));
            promises =
                (Promises){.places = promises.places, .has_cuts = i / ROUNDS_A_DIRECTORY % 2 == 1};
        }
        if (!one_round(directory, &promises, &totals)) {
            printf("round %" PRIu64 " failed; what is left is in %s\n", i, directory);
            return 1;
        }
    }
    totals.positions += count_places(promises.places);
    mem_free(promises.places);
    remove_directory(directory);
    rmdir(base);
    printf("%" PRIu64 " kills, %" PRIu64 " events and %" PRIu64
           " positions acknowledged, all there, once each; %" PRIu64
           " cuts acknowledged, all done, and %" PRIu64 " broken off, whole or not there\n",
           rounds, totals.events, totals.positions, totals.cuts, totals.cuts_broken_off);
    return 0;
}

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
#include "store_crash.h"

#include "base/log.h"
#include "base/random.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    LIFE_MAX_US = 60000,
    /* So that the log stays small enough to be read whole after each, and beginnings are hit too.
     */
    ROUNDS_A_DIRECTORY = 25,
    PIPE_BYTES = 1 << 20,
};

/* ---- what all of them stand on ---- */

uint64_t count_places(const Place *places)
{
    uint64_t count = 0;
    for (size_t i = 0; i < POSITIONS_MAX; i++) {
        count += places[i].seq != 0;
    }
    return count;
}

static uint64_t random_state;

uint64_t draw(uint64_t below)
{
    random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood, 2014) */
    uint64_t z = random_state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

void broken(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    _exit(1);
}

void authors_of(const Store *store, Author authors[STREAMS])
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

Store *open_or_die(const char *directory, Loop *loop)
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

/* Fills a data directory without a node, the same each time: what the tests of the commands read.
 *
 *   store_maker [-e EVENTS] [-r ROOMS] [-a AUTHORS] [-s SEED] [-i] [-u] [-w] DIRECTORY
 *
 * Event N, from 1 on, says "event N" and some words of a list, a second after the one before, from
 * 2023-11-14T22:13:20Z on; its room and author are drawn from the seed: lobby, room1, ...; ann,
 * bob, carl, ... Others follow with -i, one a line of standard input, in hex but for the numbers:
 *
 *   KIND TIME_MS ROOM SENDER BODY
 *
 * With -u the words are left for whoever opens the store next to index. With -w the store stays
 * open, as if a node ran, until standard input ends; "ready" is said. */
#include "base/strbuf.h"
#include "io/store.h"

#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { AUTHORS_MAX = 4, BATCH_MAX = EVENT_GROUP_MAX, MS_PER_S = 1000, WORDS_PER_EVENT = 6 };

static const char *const NAMES[AUTHORS_MAX] = {"ann", "bob", "carl", "dora"};
static const char *const WORDS[] = {"apple", "bridge", "cloud", "door",   "engine", "forest",
                                    "glass", "harbor", "ink",   "jacket", "kettle", "lamp"};
enum { WORDS_COUNT = sizeof(WORDS) / sizeof(WORDS[0]) };

static const int64_t START_MS = INT64_C(1700000000000);

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
} Author;

typedef struct Maker {
    unsigned long events;
    unsigned rooms;
    unsigned authors_count;
    uint64_t random;
    bool reads_lines;
    bool waits;
    bool leaves_unsearched;
    Loop *loop;
    Store *store;
    Author authors[AUTHORS_MAX];
    LogEvent *batch[BATCH_MAX];
    size_t batch_count;
    bool waiting;
    bool answered;
} Maker;

[[gnu::noreturn]] static void give_up(const char *why)
{
    fprintf(stderr, "store_maker: %s\n", why);
    exit(1);
}

static unsigned draw(Maker *maker, unsigned below)
{
    maker->random += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 (Steele, Lea, Flood, 2014) */
    uint64_t z = maker->random;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (unsigned)((z ^ z >> 31) % below);
}

static void on_appended(void *context, const StoreAppended *result)
{
    Maker *maker = context;
    if (result->err != ERR_OK) {
        give_up(err_text(result->err));
    }
    maker->waiting = false;
}

static void flush(Maker *maker)
{
    if (maker->batch_count == 0) {
        return;
    }
    maker->waiting = true;
    StoreBatch batch = {
        .events = maker->batch,
        .count = maker->batch_count,
    };
    if (store_append(maker->store, &batch, on_appended, maker) != ERR_OK) {
        give_up("the store takes no more");
    }
    while (maker->waiting) {
        uv_run(loop_uv(maker->loop), UV_RUN_ONCE);
    }
    while (maker->batch_count > 0) {
        event_unref(maker->batch[--maker->batch_count]);
    }
}

static void add(Maker *maker, Author *author, EventFields *fields)
{
    fields->stream = author->stream;
    fields->seq = ++author->seq;
    fields->prev_hash = author->last;
    LogEvent *event = event_new(fields);
    author->last = event->hash;
    if (author->seq % 16 == 1) {
        event_sign(event, &author->signer);
    }
    maker->batch[maker->batch_count++] = event;
    if (maker->batch_count == BATCH_MAX) {
        flush(maker);
    }
}

static void add_drawn(Maker *maker, unsigned long number)
{
    char room[16] = "lobby";
    unsigned room_number = draw(maker, maker->rooms);
    unsigned author = draw(maker, maker->authors_count);
    AUTO_STRBUF StrBuf body = {0};
    if (room_number > 0) {
        snprintf(room, sizeof(room), "room%u", room_number);
    }
    strbuf_addf(&body, "event %lu", number);
    for (int i = 0; i < WORDS_PER_EVENT; i++) {
        strbuf_addf(&body, " %s", WORDS[draw(maker, WORDS_COUNT)]);
    }
    EventFields fields = {
        .hlc = (uint64_t)(START_MS + (int64_t)number * MS_PER_S) << HLC_COUNTER_BITS,
        .room = room,
        .room_len = strlen(room),
        .kind = LOG_TEXT,
        .sender = NAMES[author],
        .sender_len = strlen(NAMES[author]),
        .body = (const uint8_t *)body.text,
        .body_len = body.len,
    };
    add(maker, &maker->authors[author], &fields);
}

static size_t of_hex(uint8_t *data, size_t size, const char *hex)
{
    size_t len = 0;
    if (sodium_hex2bin(data, size, hex, strlen(hex), NULL, &len, NULL) != 0) {
        give_up("that is not hex");
    }
    return len;
}

static void add_lines(Maker *maker)
{
    static char line[2 * EVENT_MAX_BYTES];
    static uint8_t body[EVENT_BODY_MAX_BYTES];
    uint8_t room[EVENT_ROOM_MAX_BYTES];
    uint8_t sender[EVENT_SENDER_MAX_BYTES];
    while (fgets(line, sizeof(line), stdin) != NULL) {
        char *rest = NULL;
        const char *kind = strtok_r(line, " \n", &rest);
        const char *time = strtok_r(NULL, " \n", &rest);
        const char *room_hex = strtok_r(NULL, " \n", &rest);
        const char *sender_hex = strtok_r(NULL, " \n", &rest);
        const char *body_hex = strtok_r(NULL, " \n", &rest);
        if (sender_hex == NULL) {
            give_up("KIND TIME_MS ROOM SENDER BODY");
        }
        EventFields fields = {
            .hlc = strtoull(time, NULL, 10) << HLC_COUNTER_BITS,
            .room = (const char *)room,
            .room_len = of_hex(room, sizeof(room), room_hex),
            .kind = (int)strtol(kind, NULL, 10),
            .sender = (const char *)sender,
            .sender_len = of_hex(sender, sizeof(sender), sender_hex),
            .body = body,
            .body_len = of_hex(body, sizeof(body), body_hex != NULL ? body_hex : ""),
        };
        add(maker, &maker->authors[0], &fields);
    }
}

static void make_authors(Maker *maker)
{
    for (unsigned i = 0; i < maker->authors_count; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)i};
        event_signer_init(&maker->authors[i].signer, seed);
        memcpy(maker->authors[i].stream.origin, maker->authors[i].signer.public_key,
               EVENT_KEY_BYTES);
        maker->authors[i].stream.epoch = 1;
    }
}

static void on_searched(void *context, const StoreHits *hits)
{
    Maker *maker = context;
    maker->answered = true;
    maker->waiting = hits->unsearched > 0;
}

/* A node does it whenever nothing comes for a moment. */
static void index_all(Maker *maker)
{
    static const StoreSearch asked = {.words = "x", .max_hits = 1};
    do {
        maker->waiting = true;
        maker->answered = false;
        if (store_search(maker->store, &asked, on_searched, maker) != ERR_OK) {
            give_up("the store does not search");
        }
        while (!maker->answered) {
            uv_run(loop_uv(maker->loop), UV_RUN_ONCE);
        }
    } while (maker->waiting);
}

static void on_closed(void *context)
{
    Maker *maker = context;
    loop_stop(maker->loop);
}

static void parse_options(Maker *maker, int argc, char **argv)
{
    for (int option; (option = getopt(argc, argv, "e:r:a:s:iuw")) >= 0;) {
        unsigned long long number = optarg != NULL ? strtoull(optarg, NULL, 10) : 0;
        switch (option) {
        case 'e':
            maker->events = (unsigned long)number;
            break;
        case 'r':
            maker->rooms = (unsigned)number;
            break;
        case 'a':
            maker->authors_count = (unsigned)number;
            break;
        case 's':
            maker->random = number;
            break;
        case 'i':
            maker->reads_lines = true;
            break;
        case 'u':
            maker->leaves_unsearched = true;
            break;
        case 'w':
            maker->waits = true;
            break;
        default:
            exit(2);
        }
    }
    if (optind + 1 != argc || maker->rooms == 0 || maker->authors_count == 0 ||
        maker->authors_count > AUTHORS_MAX) {
        give_up("see the head of its source");
    }
}

static void fill(Maker *maker)
{
    for (unsigned long i = 1; i <= maker->events; i++) {
        add_drawn(maker, i);
    }
    if (maker->reads_lines) {
        add_lines(maker);
    }
    flush(maker);
    if (!maker->leaves_unsearched) {
        index_all(maker);
    }
}

int main(int argc, char **argv)
{
    Maker maker = {.rooms = 1, .authors_count = 3};
    parse_options(&maker, argc, argv);
    char *error = NULL;
    maker.loop = loop_new();
    make_authors(&maker);
    if (sodium_init() < 0 || store_open(&(StoreOptions){.directory = argv[optind]}, maker.loop,
                                        &maker.store, &error) != ERR_OK) {
        give_up(error != NULL ? error : "libsodium does not start");
    }
    fill(&maker);
    if (maker.waits) {
        puts("ready");
        fflush(stdout);
        while (getchar() != EOF) {
        }
    }
    store_close(maker.store, on_closed, &maker);
    loop_run(maker.loop);
    loop_free(maker.loop);
    return 0;
}

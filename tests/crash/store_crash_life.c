/* The one that is killed: it appends, cuts, and tells through a pipe what was acknowledged. */
#include "store_crash.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum {
    STEADY = 5, /* that are written all the time */
    CUT_FROM = STEADY,
    CUTS_IN_LIFE = 3, /* fewer than that */
    IN_FLIGHT_MAX = 24,
    BATCH_MAX = 20,
    PASSED_MAX = 200, /* in one batch */
};

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

/* ---- events, and what of them is passed ---- */

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

void live(const char *directory, const Promises *promises, int pipe)
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

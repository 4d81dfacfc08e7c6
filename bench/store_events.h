/* What the store is measured with: texts of about 100 bytes by 100 authors over a year, words drawn
 * from 20,000 as in ordinary text (Zipf's law); one in a thousand is a join. */
#pragma once

#include "core/event.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <uv.h>

enum {
    AUTHORS = 100,
    WORDS = 20000,
    JOIN_EVERY = 1000,
};

static inline double now_s(void)
{
    return (double)uv_hrtime() / 1e9;
}

static inline uint64_t draw(uint64_t below)
{
    static uint64_t state = 42;
    state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = state;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

/* ---- events ---- */

typedef struct Author {
    EventSigner signer;
    StreamId stream;
    uint64_t seq;
    EventHash last;
    char name[16];
} Author;

static Author authors[AUTHORS];
static uint64_t hlc = UINT64_C(1700000000000) << HLC_COUNTER_BITS;
static uint64_t hlc_step = 1;

static inline void make_authors(uint64_t epoch)
{
    for (size_t i = 0; i < AUTHORS; i++) {
        uint8_t seed[EVENT_SEED_BYTES] = {(uint8_t)i, 1};
        memset(&authors[i], 0, sizeof(authors[i]));
        event_signer_init(&authors[i].signer, seed);
        memcpy(authors[i].stream.origin, authors[i].signer.public_key, EVENT_KEY_BYTES);
        authors[i].stream.epoch = epoch;
        snprintf(authors[i].name, sizeof(authors[i].name), "author%zu", i);
    }
}

/* Word n comes about 1/n as often as the first. */
static inline size_t some_text(char *text, size_t cap)
{
    size_t len = 0;
    while (len < cap - 24) {
        double u = (double)draw(1 << 30) / (double)(1 << 30);
        unsigned n = (unsigned)exp(u * log(WORDS));
        len += (size_t)snprintf(text + len, cap - len, "%sw%x", len > 0 ? " " : "",
                                n * 2654435761U >> 8);
    }
    return len;
}

/* Signed with nothing: what is measured is the store. */
static inline LogEvent *some_event(Author *author)
{
    char text[112];
    hlc += hlc_step;
    EventFields fields = {
        .stream = author->stream,
        .seq = ++author->seq,
        .prev_hash = author->last,
        .hlc = hlc,
        .room = "lobby",
        .room_len = 5,
        .kind = author->seq % JOIN_EVERY == 0 ? LOG_JOIN : LOG_TEXT,
        .sender = author->name,
        .sender_len = strlen(author->name),
        .body = (const uint8_t *)text,
        .body_len = some_text(text, sizeof(text)),
    };
    LogEvent *event = event_new(&fields);
    author->last = event->hash;
    event->is_signed = true;
    return event;
}

/* A queue of places, some of them still empty. */
#include "io/journal.h"

#include "base/log.h"

#include <inttypes.h>
#include <string.h>

enum { PLACES_FIRST_CAP = 64 };

typedef struct Place {
    Message *message;
    bool own;
    bool filled; /* an own event's message comes when it is shown */
} Place;

struct Journal {
    Place *places; /* of released + 1 up to given; a ring, cap is a power of two */
    size_t cap;
    uint64_t released;
    uint64_t given;
    uint64_t durable;
    uint64_t next_own; /* no empty place is before this position */
    StorePassed *passed;
    size_t passed_count;
    size_t passed_cap;
    JournalRelease release;
    void *context;
};

Journal *journal_new(uint64_t position, JournalRelease release, void *context)
{
    Journal *journal = mem_new(Journal);
    journal->cap = PLACES_FIRST_CAP;
    journal->places = mem_array(journal->cap, sizeof(Place));
    journal->released = position;
    journal->given = position;
    journal->durable = position;
    journal->next_own = position + 1;
    journal->release = release;
    journal->context = context;
    return journal;
}

static Place *place_at(Journal *journal, uint64_t position)
{
    return &journal->places[position & (journal->cap - 1)];
}

void journal_free(Journal *journal)
{
    if (journal == NULL) {
        return;
    }
    for (uint64_t at = journal->released + 1; at <= journal->given; at++) {
        message_unref(place_at(journal, at)->message);
    }
    mem_free(journal->places);
    mem_free(journal->passed);
    mem_free(journal);
}

static void grow(Journal *journal)
{
    size_t cap = journal->cap * 2;
    Place *places = mem_array(cap, sizeof(Place));
    for (uint64_t at = journal->released + 1; at <= journal->given; at++) {
        places[at & (cap - 1)] = *place_at(journal, at);
    }
    mem_free(journal->places);
    journal->places = places;
    journal->cap = cap;
}

static void add_place(Journal *journal, Place place)
{
    if (journal->given - journal->released == journal->cap) {
        grow(journal);
    }
    *place_at(journal, ++journal->given) = place;
}

void journal_pass(Journal *journal, const StreamId *stream, uint64_t seq, Message *message)
{
    if (journal->passed_count == journal->passed_cap) {
        journal->passed_cap = journal->passed_cap > 0 ? journal->passed_cap * 2 : PLACES_FIRST_CAP;
        journal->passed = mem_resize(journal->passed, journal->passed_cap, sizeof(StorePassed));
    }
    journal->passed[journal->passed_count++] =
        (StorePassed){.stream = *stream, .seq = seq, .shown = message != NULL};
    if (message != NULL) {
        add_place(journal, (Place){.message = message_ref(message), .filled = true});
    }
}

bool journal_waits(const Journal *journal)
{
    return journal->passed_count > 0;
}

JournalShare journal_take(Journal *journal, size_t own_count)
{
    size_t shown = 0;
    for (size_t i = 0; i < journal->passed_count; i++) {
        shown += journal->passed[i].shown;
    }
    JournalShare share = {
        .passed = TAKE(journal->passed),
        .passed_count = journal->passed_count,
        .position = journal->given - shown + 1,
    };
    journal->passed_count = 0;
    journal->passed_cap = 0;
    for (size_t i = 0; i < own_count; i++) {
        add_place(journal, (Place){.own = true});
    }
    share.last = journal->given;
    return share;
}

static void release(Journal *journal)
{
    while (journal->released < journal->durable) {
        Place *place = place_at(journal, journal->released + 1);
        if (!place->filled) {
            return;
        }
        Message *message = TAKE(place->message);
        journal->release(journal->context, ++journal->released, message);
        message_unref(message);
    }
}

void journal_durable(Journal *journal, uint64_t position)
{
    if (position > journal->durable) {
        journal->durable = position;
        release(journal);
    }
}

/* The next empty place, or NULL. */
static Place *next_own(Journal *journal, uint64_t end)
{
    if (journal->next_own <= journal->released) {
        journal->next_own = journal->released + 1;
    }
    while (journal->next_own <= end) {
        Place *place = place_at(journal, journal->next_own);
        if (place->own && !place->filled) {
            return place;
        }
        journal->next_own++;
    }
    return NULL;
}

void journal_own(Journal *journal, Message *message)
{
    Place *place = next_own(journal, journal->given);
    if (place == NULL) {
        return; /* its place was settled without it */
    }
    place->message = message != NULL ? message_ref(message) : NULL;
    place->filled = true;
    release(journal);
}

void journal_settle(Journal *journal)
{
    Place *place;
    while ((place = next_own(journal, journal->durable)) != NULL) {
        log_error("an own event that is on the disk was not shown; position %" PRIu64,
                  journal->next_own);
        place->filled = true;
    }
    release(journal);
}

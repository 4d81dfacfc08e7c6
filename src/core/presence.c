/* Who is at which node.
 *
 *   by_id    all that are known, but this node itself
 *   by_age   the same, in the order in which they were last heard of: who expires next
 *   here     those of them that are here, by name */
#include "core/presence.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { AT_ONCE_MS = 1 };

typedef struct Known {
    FramePresence row;
    uint16_t via;      /* the link that brought what is known */
    uint64_t since_ms; /* here: last heard of; gone: since when */
    struct Known *prev;
    struct Known *next;
    UT_hash_handle hh;
} Known;

struct Presences {
    FramePresence own;
    uint64_t own_due_ms; /* 0: not any more */
    Known *by_id;
    Known *by_age;
    Known *here[PRESENCES_MAX];
    size_t here_count;
    uint16_t of_link[PRESENCE_LINKS_MAX]; /* how many each has brought */
};

Presences *presences_new(const NodeId *own_id, const uint8_t key[EVENT_KEY_BYTES], const char *name,
                         uint64_t first_version)
{
    Presences *presences = mem_new(Presences);
    presences->own.node_id = *own_id;
    memcpy(presences->own.key, key, EVENT_KEY_BYTES);
    presences->own.version = first_version;
    snprintf(presences->own.name, sizeof(presences->own.name), "%s", name);
    presences->own_due_ms = AT_ONCE_MS;
    return presences;
}

static void known_remove(Presences *presences, Known *known)
{
    HASH_DEL(presences->by_id, known);
    DL_DELETE(presences->by_age, known);
    presences->of_link[known->via]--;
    mem_free(known);
}

void presences_free(Presences *presences)
{
    if (presences == NULL) {
        return;
    }
    while (presences->by_age != NULL) {
        known_remove(presences, presences->by_age);
    }
    mem_free(presences);
}

/* ---- here: by name ---- */

/* Two may have one name. */
static int compare_rows(const FramePresence *a, const FramePresence *b)
{
    int by_name = strcmp(a->name, b->name);
    return by_name != 0 ? by_name : memcmp(&a->node_id, &b->node_id, sizeof(a->node_id));
}

/* The first place that does not come before it. */
static size_t here_find(const Presences *presences, const FramePresence *row)
{
    size_t from = 0;
    size_t to = presences->here_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (compare_rows(&presences->here[middle]->row, row) < 0) {
            from = middle + 1;
        } else {
            to = middle;
        }
    }
    return from;
}

static void here_add(Presences *presences, Known *known)
{
    size_t at = here_find(presences, &known->row);
    memmove(&presences->here[at + 1], &presences->here[at],
            (presences->here_count - at) * sizeof(Known *));
    presences->here[at] = known;
    presences->here_count++;
}

static void here_remove(Presences *presences, const Known *known)
{
    size_t at = here_find(presences, &known->row);
    assert(at < presences->here_count && presences->here[at] == known);
    presences->here_count--;
    memmove(&presences->here[at], &presences->here[at + 1],
            (presences->here_count - at) * sizeof(Known *));
}

/* Gives it another row, and its place. */
static void known_set(Presences *presences, Known *known, const FramePresence *row,
                      uint64_t mono_ms)
{
    if (!known->row.gone) {
        here_remove(presences, known);
    }
    known->row = *row;
    known->since_ms = mono_ms;
    if (!known->row.gone) {
        here_add(presences, known);
    }
    DL_DELETE(presences->by_age, known);
    DL_APPEND(presences->by_age, known);
}

/* Gone, until it is given a row. */
static Known *known_new(Presences *presences, const NodeId *node_id, size_t via)
{
    Known *known = mem_new(Known);
    known->via = (uint16_t)via;
    presences->of_link[via]++;
    known->row.node_id = *node_id;
    known->row.gone = true;
    HASH_ADD(hh, presences->by_id, row.node_id, sizeof(known->row.node_id), known);
    DL_APPEND(presences->by_age, known);
    return known;
}

/* ---- what is heard ---- */

static size_t busiest_link(const Presences *presences)
{
    size_t busiest = 0;
    for (size_t i = 1; i < PRESENCE_LINKS_MAX; i++) {
        busiest = presences->of_link[i] > presences->of_link[busiest] ? i : busiest;
    }
    return busiest;
}

/* False: there is no room for what comes by that link. */
static bool make_room(Presences *presences, size_t via)
{
    if (HASH_COUNT(presences->by_id) < PRESENCES_MAX - 1) {
        return true;
    }
    size_t busiest = busiest_link(presences);
    if (presences->of_link[busiest] <= presences->of_link[via] + 1) {
        return false; /* and not back and forth between two that are equal */
    }
    Known *oldest = presences->by_age;
    while (oldest->via != busiest) {
        oldest = oldest->next;
    }
    if (!oldest->row.gone) {
        here_remove(presences, oldest);
    }
    known_remove(presences, oldest);
    return true;
}

static PresenceChange change_of(const FramePresence *before, const FramePresence *after)
{
    if (before->gone != after->gone) {
        return after->gone ? PRESENCE_LEFT : PRESENCE_CAME;
    }
    bool renamed = !after->gone && strcmp(before->name, after->name) != 0;
    return renamed ? PRESENCE_RENAMED : PRESENCE_SAME;
}

/* Not past the end, where it would begin again below all that others know. */
static void own_changes(Presences *presences, uint64_t above_version)
{
    presences->own.version = above_version < UINT64_MAX ? above_version + 1 : above_version;
    presences->own_due_ms = AT_ONCE_MS;
}

/* Somebody tells this node of itself. */
static void hear_own(Presences *presences, const FramePresence *row)
{
    uint64_t version = presences->own.version;
    if (row->version > version) {
        own_changes(presences, row->version);
    } else if (row->gone && !presences->own.gone) {
        own_changes(presences, version);
    }
}

Err presences_hear(Presences *presences, const FramePresence *row, size_t via, uint64_t mono_ms,
                   bool *ret_news, PresenceChange *ret_change, FramePresence *ret_before)
{
    assert(via < PRESENCE_LINKS_MAX);
    const FramePresence none = {.gone = true};
    Known *known = NULL;
    bool own = memcmp(&row->node_id, &presences->own.node_id, sizeof(row->node_id)) == 0;
    if (!own) {
        HASH_FIND(hh, presences->by_id, &row->node_id, sizeof(row->node_id), known);
    }
    if (!own && known == NULL && !make_room(presences, via)) {
        return ERR_LIMIT;
    }
    *ret_change = PRESENCE_SAME;
    *ret_before = known != NULL ? known->row : (FramePresence){0};
    *ret_news = !own && (known == NULL || row->version > known->row.version);
    if (own) {
        hear_own(presences, row);
    } else if (*ret_news) {
        *ret_change = change_of(known != NULL ? &known->row : &none, row);
        known = known != NULL ? known : known_new(presences, &row->node_id, via);
        presences->of_link[known->via]--;
        presences->of_link[via]++;
        known->via = (uint16_t)via;
        known_set(presences, known, row, mono_ms);
    }
    return ERR_OK;
}

/* ---- the own row ---- */

void presences_tell_own(Presences *presences, uint64_t mono_ms, FramePresence *ret_row)
{
    own_changes(presences, presences->own.version);
    presences->own_due_ms = presences->own.gone ? 0 : mono_ms + PRESENCE_TELL_MS;
    *ret_row = presences->own;
}

void presences_rename(Presences *presences, const char *name)
{
    if (strcmp(presences->own.name, name) == 0) {
        return;
    }
    snprintf(presences->own.name, sizeof(presences->own.name), "%s", name);
    own_changes(presences, presences->own.version);
}

void presences_leave(Presences *presences)
{
    presences->own.gone = true;
    own_changes(presences, presences->own.version);
}

bool presences_own_is_due(const Presences *presences, uint64_t mono_ms)
{
    return presences->own_due_ms != 0 && presences->own_due_ms <= mono_ms;
}

/* ---- time ---- */

void presences_end(Presences *presences, const uint8_t key[EVENT_KEY_BYTES], uint64_t mono_ms)
{
    for (size_t i = presences->here_count; i > 0; i--) {
        Known *known = presences->here[i - 1];
        FramePresence row = known->row;
        if (memcmp(row.key, key, EVENT_KEY_BYTES) == 0) {
            row.gone = true;
            known_set(presences, known, &row, mono_ms);
        }
    }
}

bool presences_expire(Presences *presences, uint64_t mono_ms, FramePresence *ret_row)
{
    while (presences->by_age != NULL) {
        Known *known = presences->by_age;
        if (known->since_ms + PRESENCE_GONE_MS > mono_ms) {
            break;
        }
        if (!known->row.gone) {
            *ret_row = known->row;
            FramePresence gone = known->row;
            gone.gone = true;
            known_set(presences, known, &gone, mono_ms);
            return true;
        }
        known_remove(presences, known);
    }
    return false;
}

uint64_t presences_wake_at(const Presences *presences)
{
    uint64_t wake_at_ms = presences->own_due_ms;
    if (presences->by_age != NULL) {
        uint64_t at_ms = presences->by_age->since_ms + PRESENCE_GONE_MS;
        wake_at_ms = wake_at_ms == 0 || at_ms < wake_at_ms ? at_ms : wake_at_ms;
    }
    return wake_at_ms;
}

/* ---- who is here ---- */

size_t presences_count(const Presences *presences)
{
    return presences->here_count + (presences->own.gone ? 0 : 1);
}

const FramePresence *presences_at(const Presences *presences, size_t index)
{
    assert(index < presences_count(presences));
    if (presences->own.gone) {
        return &presences->here[index]->row;
    }
    return index == 0 ? &presences->own : &presences->here[index - 1]->row;
}

/* Three bounded memories of what has been said. */
#include "core/seen.h"

#include <sodium.h>
#include <string.h>
#include <uthash.h>

/* uthash keeps insertion order: its first entry is the oldest. */

typedef struct SeenOrigin {
    NodeId origin;
    uint64_t highest;
    UT_hash_handle hh;
} SeenOrigin;

typedef struct SeenId {
    MessageId id;
    UT_hash_handle hh;
} SeenId;

typedef struct LineHash {
    uint8_t bytes[crypto_generichash_BYTES_MIN];
} LineHash;

typedef struct SeenLine {
    LineHash line;
    uint64_t count;
    UT_hash_handle hh;
} SeenLine;

struct Seen {
    SeenOrigin *origins;
    SeenId *ids;
    SeenLine *lines;
};

Seen *seen_new(void)
{
    return mem_new(Seen);
}

void seen_free(Seen *seen)
{
    if (seen == NULL) {
        return;
    }
    SeenOrigin *origin;
    SeenOrigin *next_origin;
    HASH_ITER(hh, seen->origins, origin, next_origin)
    {
        HASH_DEL(seen->origins, origin);
        mem_free(origin);
    }
    SeenId *id;
    SeenId *next_id;
    HASH_ITER(hh, seen->ids, id, next_id)
    {
        HASH_DEL(seen->ids, id);
        mem_free(id);
    }
    SeenLine *line;
    SeenLine *next_line;
    HASH_ITER(hh, seen->lines, line, next_line)
    {
        HASH_DEL(seen->lines, line);
        mem_free(line);
    }
    mem_free(seen);
}

bool seen_from_node(Seen *seen, const NodeId *origin, uint64_t number)
{
    SeenOrigin *entry;
    HASH_FIND(hh, seen->origins, origin, sizeof(*origin), entry);
    if (entry != NULL) {
        if (number <= entry->highest) {
            return false;
        }
        entry->highest = number;
        /* To the young end: an origin that speaks is not forgotten. */
        HASH_DEL(seen->origins, entry);
        HASH_ADD(hh, seen->origins, origin, sizeof(entry->origin), entry);
        return true;
    }
    if (HASH_COUNT(seen->origins) >= SEEN_ORIGINS_MAX) {
        SeenOrigin *oldest = seen->origins;
        HASH_DEL(seen->origins, oldest);
        mem_free(oldest);
    }
    entry = mem_new(SeenOrigin);
    entry->origin = *origin;
    entry->highest = number;
    HASH_ADD(hh, seen->origins, origin, sizeof(entry->origin), entry);
    return true;
}

bool seen_id(Seen *seen, const MessageId *id)
{
    MessageId key; /* bytes past len are zero in every key */
    memset(&key, 0, sizeof(key));
    memcpy(key.bytes, id->bytes, id->len);
    key.len = id->len;

    SeenId *entry;
    HASH_FIND(hh, seen->ids, &key, sizeof(key), entry);
    if (entry != NULL) {
        return false;
    }
    if (HASH_COUNT(seen->ids) >= SEEN_IDS_MAX) {
        SeenId *oldest = seen->ids;
        HASH_DEL(seen->ids, oldest);
        mem_free(oldest);
    }
    entry = mem_new(SeenId);
    entry->id = key;
    HASH_ADD(hh, seen->ids, id, sizeof(entry->id), entry);
    return true;
}

/* Little-endian on every machine: the same line has the same hash everywhere. */
static void hash_number(crypto_generichash_state *state, uint64_t number)
{
    unsigned char bytes[sizeof(number)];
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)(number >> (8 * i));
    }
    crypto_generichash_update(state, bytes, sizeof(bytes));
}

static void hash_field(crypto_generichash_state *state, const char *text, size_t len)
{
    hash_number(state, len); /* so that "a" + "bc" is not "ab" + "c" */
    crypto_generichash_update(state, (const unsigned char *)text, len);
}

/* The day, counting from 1970, on which a clock that shows second_of_day is nearest to wall_ms. */
static int64_t day_of(int32_t second_of_day, int64_t wall_ms)
{
    const int64_t day_ms = INT64_C(86400000);
    return (wall_ms - (int64_t)second_of_day * 1000 + day_ms / 2) / day_ms;
}

static LineHash line_hash(const MessageDraft *draft, int64_t day)
{
    crypto_generichash_state state;
    LineHash hash;
    crypto_generichash_init(&state, NULL, 0, sizeof(hash.bytes));
    hash_field(&state, draft->sender, draft->sender_len);
    hash_field(&state, draft->content, draft->content_len);
    hash_field(&state, draft->timestamp, draft->timestamp_len);
    hash_number(&state, (uint64_t)day);
    crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
    return hash;
}

/* The entry of that line, young again; counting from 0 where it is new. */
static SeenLine *seen_line(Seen *seen, const LineHash *hash)
{
    SeenLine *entry;
    HASH_FIND(hh, seen->lines, hash, sizeof(*hash), entry);
    if (entry != NULL) {
        HASH_DEL(seen->lines, entry);
    } else {
        if (HASH_COUNT(seen->lines) >= SEEN_CLASSIC_MAX) {
            SeenLine *oldest = seen->lines;
            HASH_DEL(seen->lines, oldest);
            mem_free(oldest);
        }
        entry = mem_new(SeenLine);
        entry->line = *hash;
    }
    HASH_ADD(hh, seen->lines, line, sizeof(entry->line), entry);
    return entry;
}

void seen_classic_id(Seen *seen, const MessageDraft *draft, int32_t second_of_day, int64_t wall_ms,
                     MessageId *ret_id)
{
    LineHash hash = line_hash(draft, day_of(second_of_day, wall_ms));
    uint64_t ordinal = ++seen_line(seen, &hash)->count;

    crypto_generichash_state state;
    memset(ret_id, 0, sizeof(*ret_id));
    ret_id->len = sizeof(hash.bytes);
    crypto_generichash_init(&state, NULL, 0, ret_id->len);
    crypto_generichash_update(&state, hash.bytes, sizeof(hash.bytes));
    hash_number(&state, ordinal);
    crypto_generichash_final(&state, ret_id->bytes, ret_id->len);
}

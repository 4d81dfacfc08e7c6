/* Two bounded memories of what has been said. */
#include "core/seen.h"

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

struct Seen {
    SeenOrigin *origins;
    SeenId *ids;
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
    HASH_ITER(hh, seen->origins, origin, next_origin) {
        HASH_DEL(seen->origins, origin);
        mem_free(origin);
    }
    SeenId *id;
    SeenId *next_id;
    HASH_ITER(hh, seen->ids, id, next_id) {
        HASH_DEL(seen->ids, id);
        mem_free(id);
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

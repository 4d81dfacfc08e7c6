/* A bounded memory of what has been said. */
#include "core/seen.h"

#include <string.h>
#include <uthash.h>

/* uthash keeps insertion order: its first entry is the oldest. */

typedef struct SeenId {
    MessageId id;
    UT_hash_handle hh;
} SeenId;

struct Seen {
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
    SeenId *id;
    SeenId *next_id;
    HASH_ITER(hh, seen->ids, id, next_id) {
        HASH_DEL(seen->ids, id);
        mem_free(id);
    }
    mem_free(seen);
}

/* Bytes past len are zero in every key. */
static MessageId key_of(const MessageId *id)
{
    MessageId key;
    memset(&key, 0, sizeof(key));
    memcpy(key.bytes, id->bytes, id->len);
    key.len = id->len;
    return key;
}

void seen_forget_id(Seen *seen, const MessageId *id)
{
    MessageId key = key_of(id);
    SeenId *entry;
    HASH_FIND(hh, seen->ids, &key, sizeof(key), entry);
    if (entry != NULL) {
        HASH_DEL(seen->ids, entry);
        mem_free(entry);
    }
}

bool seen_id(Seen *seen, const MessageId *id)
{
    MessageId key = key_of(id);
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

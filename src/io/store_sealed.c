/* What is sealed, for the store's threads: a keyring behind a lock, fed by the indexer in the order
 * in which it comes to ROOM_KEY events. So a text that is in the search can be read again by who
 * makes a snippet of it, and what a key that came later opens is found then (store_index.c).
 *
 * The network's number is taken from the events: the node stores those of one alone. */
#include "io/store_impl.h"

#include "core/sealed.h"

#include <string.h>

struct Seals {
    pthread_mutex_t mutex;
    bool has_seed;
    uint8_t seed[EVENT_SEED_BYTES];
    Keyring *keyring; /* NULL: no ROOM_KEY event came yet */
};

Seals *seals_new(const uint8_t *seed)
{
    Seals *seals = mem_new(Seals);
    pthread_mutex_init(&seals->mutex, NULL);
    seals->has_seed = seed != NULL;
    if (seed != NULL) {
        memcpy(seals->seed, seed, EVENT_SEED_BYTES);
    }
    return seals;
}

void seals_free(Seals *seals)
{
    if (seals != NULL) {
        keyring_free(seals->keyring);
        explicit_bzero(seals->seed, sizeof(seals->seed));
        pthread_mutex_destroy(&seals->mutex);
        mem_free(seals);
    }
}

void seals_forget(Seals *seals)
{
    pthread_mutex_lock(&seals->mutex);
    keyring_free(TAKE(seals->keyring));
    pthread_mutex_unlock(&seals->mutex);
}

bool seals_take(Seals *seals, const LogEvent *event, uint64_t *ret_take)
{
    bool learned = false;
    pthread_mutex_lock(&seals->mutex);
    bool wanted =
        seals->has_seed && event->fields.kind == LOG_ROOM_KEY && event->fields.network != NULL;
    if (wanted && seals->keyring == NULL) {
        seals->keyring = keyring_new(seals->seed, event->fields.network);
    }
    if (wanted && keyring_take(seals->keyring, event)) {
        learned = keyring_learned(seals->keyring);
        *ret_take = keyring_takes(seals->keyring);
    }
    pthread_mutex_unlock(&seals->mutex);
    return learned;
}

LogEvent *seals_open(Seals *seals, LogEvent *event)
{
    if (event->fields.kind != LOG_SEALED && event->fields.kind != LOG_ROOM_KEY) {
        return event_ref(event); /* needs no key, and no lock */
    }
    pthread_mutex_lock(&seals->mutex);
    LogEvent *opened = seals->keyring != NULL ? keyring_unseal(seals->keyring, event) : NULL;
    pthread_mutex_unlock(&seals->mutex);
    return opened;
}

bool seals_opens_since(Seals *seals, const LogEvent *event, uint64_t take)
{
    pthread_mutex_lock(&seals->mutex);
    bool opens =
        seals->keyring != NULL && keyring_opens_since(seals->keyring, &event->fields, take);
    pthread_mutex_unlock(&seals->mutex);
    return opens;
}

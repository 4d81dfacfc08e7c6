/* Who has earned a table, and what is left to libsodium. */
#include "core/signature.h"

#include "core/curve.h"

#include <sodium.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

typedef struct Key {
    uint8_t bytes[EVENT_KEY_BYTES];
    unsigned good;     /* signatures found so by libsodium */
    CurveTable *table; /* of the negative of the key's point; NULL: not earned */
    struct Key *prev;  /* in Checker.keys_used, or Checker.tables_used where it has a table */
    struct Key *next;
    UT_hash_handle hh;
} Key;

struct Checker {
    CurveTable *base;
    Key *keys;
    Key *keys_used; /* the longest unused first */
    Key *tables_used;
    size_t keys_count; /* in keys_used, and in tables_used */
    size_t tables_count;
    uint64_t by_table;
};

Checker *checker_new(void)
{
    return mem_new(Checker);
}

static void key_free(Checker *checker, Key *key)
{
    if (key->table != NULL) {
        DL_DELETE(checker->tables_used, key);
        checker->tables_count--;
    } else {
        DL_DELETE(checker->keys_used, key);
        checker->keys_count--;
    }
    HASH_DEL(checker->keys, key);
    mem_free(key->table);
    mem_free(key);
}

void checker_free(Checker *checker)
{
    if (checker == NULL) {
        return;
    }
    while (checker->keys != NULL) {
        key_free(checker, checker->keys);
    }
    mem_free(checker->base);
    mem_free(checker);
}

uint64_t checker_by_table(const Checker *checker)
{
    return checker->by_table;
}

#if CURVE_WORKS

static Key *key_find(const Checker *checker, const uint8_t *bytes)
{
    Key *key;
    HASH_FIND(hh, checker->keys, bytes, EVENT_KEY_BYTES, key);
    return key;
}

static void give_table(Checker *checker, Key *key)
{
    CurveTable *table = mem_new(CurveTable);
    if (!curve_table_of_negative(table, key->bytes)) {
        mem_free(table); /* libsodium would not have found it good: never so */
        return;
    }
    if (checker->base == NULL) {
        checker->base = mem_new(CurveTable);
        curve_table_of_base(checker->base);
    }
    if (checker->tables_count == CHECKER_TABLES_MAX) {
        key_free(checker, checker->tables_used);
    }
    DL_DELETE(checker->keys_used, key);
    checker->keys_count--;
    key->table = table;
    DL_APPEND(checker->tables_used, key);
    checker->tables_count++;
}

/* A signature by this key was good. */
static void note_good(Checker *checker, const uint8_t *bytes)
{
    Key *key = key_find(checker, bytes);
    if (key == NULL) {
        if (checker->keys_count == CHECKER_KEYS_MAX) {
            key_free(checker, checker->keys_used);
        }
        key = mem_new(Key);
        memcpy(key->bytes, bytes, EVENT_KEY_BYTES);
        HASH_ADD(hh, checker->keys, bytes, EVENT_KEY_BYTES, key);
        DL_APPEND(checker->keys_used, key);
        checker->keys_count++;
    }
    if (key->table == NULL && ++key->good >= CHECKER_EARNS) {
        give_table(checker, key);
    }
}

/* RFC 8032, section 5.1.7, without what signature.h leaves to libsodium. */
static bool is_good_by_table(const Checker *checker, const Key *key, const uint8_t *signature,
                             const uint8_t *text, size_t len)
{
    const uint8_t *of_s = signature + CURVE_BYTES;
    if ((of_s[CURVE_BYTES - 1] & 0xf0) != 0) {
        return false;
    }
    crypto_hash_sha512_state hash;
    uint8_t long_h[crypto_hash_sha512_BYTES];
    uint8_t h[crypto_core_ed25519_SCALARBYTES];
    crypto_hash_sha512_init(&hash);
    crypto_hash_sha512_update(&hash, signature, CURVE_BYTES);
    crypto_hash_sha512_update(&hash, key->bytes, EVENT_KEY_BYTES);
    crypto_hash_sha512_update(&hash, text, len);
    crypto_hash_sha512_final(&hash, long_h);
    crypto_core_ed25519_scalar_reduce(h, long_h);
    return curve_sum_is(checker->base, of_s, key->table, h, signature);
}

bool checker_text_is_good(Checker *checker, const uint8_t signature[EVENT_SIGNATURE_BYTES],
                          const uint8_t *text, size_t len, const uint8_t key[EVENT_KEY_BYTES])
{
    Key *known = key_find(checker, key);
    if (known != NULL && known->table != NULL &&
        is_good_by_table(checker, known, signature, text, len)) {
        checker->by_table++;
        DL_DELETE(checker->tables_used, known);
        DL_APPEND(checker->tables_used, known);
        return true;
    }
    if (crypto_sign_verify_detached(signature, text, len, key) != 0) {
        return false;
    }
    note_good(checker, key);
    return true;
}

#else

bool checker_text_is_good(Checker *checker, const uint8_t signature[EVENT_SIGNATURE_BYTES],
                          const uint8_t *text, size_t len, const uint8_t key[EVENT_KEY_BYTES])
{
    (void)checker;
    return crypto_sign_verify_detached(signature, text, len, key) == 0;
}

#endif

bool checker_is_good(Checker *checker, const LogEvent *event)
{
    EventSignedText text = event_signed_text(&event->hash);
    return event->is_signed &&
           checker_text_is_good(checker, event->signature, text.bytes, sizeof(text.bytes),
                                event->fields.stream.origin);
}

/* Ed25519 checks (RFC 8032) for authors who are heard often: the multiples of a key that a check
 * adds up are made once and kept, so that the next checks take a third of the time.
 *
 *   an author's first three good signatures     libsodium
 *   from there on                               by his table: good where R = [S]B - [h]A
 *                                               else, and whatever is unusual: libsodium again
 *
 * So nothing is refused that libsodium takes. And what it would refuse is not taken: an S that is
 * not below 2^252 and an R of small order are left to it, a key has a table only after libsodium
 * has found signatures by it good, and a mistake in the arithmetic here would give another point
 * than R, which nobody can aim at: h depends on R. All that is handled is public, so that nothing
 * here need take the same time for all input. Signing, which must, is libsodium's alone. */
#pragma once

#include "core/event.h"

typedef struct Checker Checker;

enum {
    /* Authors who have a table, of 30 KiB each. The one not heard for longest makes room. */
    CHECKER_TABLES_MAX = 64,
    /* To be known, a key and a count are enough; but anybody can make up keys. */
    CHECKER_KEYS_MAX = 1024,
    /* Good ones that earn a table: making it takes as long as two checks. */
    CHECKER_EARNS = 3,
};

Checker *checker_new(void);
/* NULL is fine. */
void checker_free(Checker *checker);

/* What event_signature_is_good says, sooner. */
bool checker_is_good(Checker *checker, const LogEvent *event);
/* The same for any text and key. */
bool checker_text_is_good(Checker *checker, const uint8_t signature[EVENT_SIGNATURE_BYTES],
                          const uint8_t *text, size_t len, const uint8_t key[EVENT_KEY_BYTES]);

/* How many were found good by a table: for tests and measurements. */
uint64_t checker_by_table(const Checker *checker);

/* Points of edwards25519 (RFC 8032, section 5.1) that everybody may know: not for secrets, whose
 * value would show in how long it takes. For signature.c alone.
 *
 * A table holds, for each 256^i, the first eight multiples of its point: so a multiple of it is a
 * sum of 64 of them, one for each signed hexadecimal digit, and four doublings. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CURVE_BYTES = 32,
    CURVE_ROWS = 32,
    CURVE_MULTIPLES = 8,
};

#if defined(__SIZEOF_INT128__)
#define CURVE_WORKS 1 /* products of two 64-bit words: without them it would gain nothing */
#else
#define CURVE_WORKS 0
#endif

/* A number modulo 2^255 - 19: the sum of v[i] * 2^(51 i). */
typedef struct Fe {
    uint64_t v[5];
} Fe;

/* x and y as sums need them: y + x, y - x, 2dxy. */
typedef struct CurveMultiple {
    Fe plus, minus, product;
} CurveMultiple;

typedef struct CurveTable {
    CurveMultiple rows[CURVE_ROWS][CURVE_MULTIPLES]; /* [i][j]: 256^i * (j + 1) */
} CurveTable;

/* Of the base point. */
void curve_table_of_base(CurveTable *table);
/* Of the negative of what is encoded. False, and table is not set, where that is no point. */
bool curve_table_of_negative(CurveTable *table, const uint8_t encoded[CURVE_BYTES]);

/* Is [a] of one table's point plus [b] of the other's what is encoded, and no point of small
 * order? a and b: little-endian, below 2^253. */
bool curve_sum_is(const CurveTable *table_a, const uint8_t a[CURVE_BYTES],
                  const CurveTable *table_b, const uint8_t b[CURVE_BYTES],
                  const uint8_t encoded[CURVE_BYTES]);

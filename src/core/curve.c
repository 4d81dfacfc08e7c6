/* edwards25519 in extended coordinates: x = X/Z, y = Y/Z, xy = T/Z. The formulas are those of
 * Hisil, Wong, Carter and Dawson (2008), as in the reference implementation of Ed25519. */
#include "core/curve.h"

#include <string.h>

#if CURVE_WORKS

enum {
    LIMBS = 5,
    LIMB_BITS = 51,
    DIGITS = 64,
    ROWS_APART_BITS = 8, /* from one row of a table to the next */
    TABLE_POINTS = CURVE_ROWS * CURVE_MULTIPLES,
};

static const uint64_t LIMB_MASK = (UINT64_C(1) << LIMB_BITS) - 1;

/* ---- numbers ---- */

__extension__ typedef unsigned __int128 Wide;

static const Fe FE_ONE = {{1, 0, 0, 0, 0}};

/* How large the limbs may be: "tight" is below 2^51 and a little, as products are. A sum of two
 * tight ones, a difference of such a sum from one, and a sum of those are below 2^54, and that is
 * what a product takes. All by name and in line: a loop over an array would be three times as
 * slow. */
static inline Fe fe_carry(Fe a)
{
    a.v[1] += a.v[0] >> LIMB_BITS;
    a.v[2] += a.v[1] >> LIMB_BITS;
    a.v[3] += a.v[2] >> LIMB_BITS;
    a.v[4] += a.v[3] >> LIMB_BITS;
    uint64_t top = a.v[4] >> LIMB_BITS;
    return (Fe){{(a.v[0] & LIMB_MASK) + 19 * top, a.v[1] & LIMB_MASK, a.v[2] & LIMB_MASK,
                 a.v[3] & LIMB_MASK, a.v[4] & LIMB_MASK}};
}

static inline Fe fe_add(const Fe *a, const Fe *b)
{
    return (Fe){{a->v[0] + b->v[0], a->v[1] + b->v[1], a->v[2] + b->v[2], a->v[3] + b->v[3],
                 a->v[4] + b->v[4]}};
}

/* With four times the modulus, so that no limb is below zero: b is tight, or a sum of two. */
static inline Fe fe_sub(const Fe *a, const Fe *b)
{
    const uint64_t first = 4 * (LIMB_MASK - 18);
    const uint64_t other = 4 * LIMB_MASK;
    return (Fe){{a->v[0] + first - b->v[0], a->v[1] + other - b->v[1], a->v[2] + other - b->v[2],
                 a->v[3] + other - b->v[3], a->v[4] + other - b->v[4]}};
}

static Fe fe_negative(const Fe *a)
{
    const Fe zero = {{0}};
    Fe tight = fe_carry(*a);
    return fe_carry(fe_sub(&zero, &tight));
}

static inline Fe fe_of_wide(Wide r0, Wide r1, Wide r2, Wide r3, Wide r4)
{
    r1 += (uint64_t)(r0 >> LIMB_BITS);
    r2 += (uint64_t)(r1 >> LIMB_BITS);
    r3 += (uint64_t)(r2 >> LIMB_BITS);
    r4 += (uint64_t)(r3 >> LIMB_BITS);
    uint64_t v0 = ((uint64_t)r0 & LIMB_MASK) + 19 * (uint64_t)(r4 >> LIMB_BITS);
    uint64_t v1 = ((uint64_t)r1 & LIMB_MASK) + (v0 >> LIMB_BITS);
    return (Fe){{v0 & LIMB_MASK, v1, (uint64_t)r2 & LIMB_MASK, (uint64_t)r3 & LIMB_MASK,
                 (uint64_t)r4 & LIMB_MASK}};
}

/* 2^255 is 19: what is beyond comes back nineteen times. Of limbs below 2^54 the sums are below
 * 2^115, and the last, which has no 19 in it, below 2^111: so each carry fits, also 19 times. */
static inline Fe fe_mul(const Fe *a, const Fe *b)
{
    const uint64_t f0 = a->v[0];
    const uint64_t f1 = a->v[1];
    const uint64_t f2 = a->v[2];
    const uint64_t f3 = a->v[3];
    const uint64_t f4 = a->v[4];
    const uint64_t *g = b->v;
    const uint64_t g1 = 19 * g[1];
    const uint64_t g2 = 19 * g[2];
    const uint64_t g3 = 19 * g[3];
    const uint64_t g4 = 19 * g[4];
    Wide r0 = (Wide)f0 * g[0] + (Wide)f1 * g4 + (Wide)f2 * g3 + (Wide)f3 * g2 + (Wide)f4 * g1;
    Wide r1 = (Wide)f0 * g[1] + (Wide)f1 * g[0] + (Wide)f2 * g4 + (Wide)f3 * g3 + (Wide)f4 * g2;
    Wide r2 = (Wide)f0 * g[2] + (Wide)f1 * g[1] + (Wide)f2 * g[0] + (Wide)f3 * g4 + (Wide)f4 * g3;
    Wide r3 = (Wide)f0 * g[3] + (Wide)f1 * g[2] + (Wide)f2 * g[1] + (Wide)f3 * g[0] + (Wide)f4 * g4;
    Wide r4 =
        (Wide)f0 * g[4] + (Wide)f1 * g[3] + (Wide)f2 * g[2] + (Wide)f3 * g[1] + (Wide)f4 * g[0];
    return fe_of_wide(r0, r1, r2, r3, r4);
}

static inline Fe fe_square(const Fe *a)
{
    const uint64_t *f = a->v;
    const uint64_t twice0 = 2 * f[0];
    const uint64_t twice1 = 2 * f[1];
    const uint64_t twice2 = 2 * f[2];
    const uint64_t f3 = 19 * f[3];
    const uint64_t f4 = 19 * f[4];
    Wide r0 = (Wide)f[0] * f[0] + (Wide)twice1 * f4 + (Wide)twice2 * f3;
    Wide r1 = (Wide)twice0 * f[1] + (Wide)twice2 * f4 + (Wide)f[3] * f3;
    Wide r2 = (Wide)twice0 * f[2] + (Wide)f[1] * f[1] + (Wide)(2 * f[3]) * f4;
    Wide r3 = (Wide)twice0 * f[3] + (Wide)twice1 * f[2] + (Wide)f[4] * f4;
    Wide r4 = (Wide)twice0 * f[4] + (Wide)twice1 * f[3] + (Wide)f[2] * f[2];
    return fe_of_wide(r0, r1, r2, r3, r4);
}

static Fe fe_square_times(Fe a, unsigned times)
{
    for (unsigned i = 0; i < times; i++) {
        a = fe_square(&a);
    }
    return a;
}

/* a^(2^times) * b */
static Fe fe_shift(const Fe *a, unsigned times, const Fe *b)
{
    Fe shifted = fe_square_times(*a, times);
    return fe_mul(&shifted, b);
}

/* a^(2^252 - 3): the power that both a square root and an inverse are made of. Names count the ones
 * of the exponent: five is a^(2^5 - 1). */
static Fe fe_power(const Fe *a)
{
    Fe square = fe_square(a);
    Fe nine = fe_shift(&square, 2, a);
    Fe eleven = fe_mul(&nine, &square);
    Fe five = fe_shift(&eleven, 1, &nine);
    Fe ten = fe_shift(&five, 5, &five);
    Fe twenty = fe_shift(&ten, 10, &ten);
    Fe forty = fe_shift(&twenty, 20, &twenty);
    Fe fifty = fe_shift(&forty, 10, &ten);
    Fe hundred = fe_shift(&fifty, 50, &fifty);
    Fe two_hundred = fe_shift(&hundred, 100, &hundred);
    Fe all = fe_shift(&two_hundred, 50, &fifty);
    return fe_shift(&all, 2, a);
}

/* a^(p - 2), and p - 2 = 8 (2^252 - 3) + 3. */
static Fe fe_inverse(const Fe *a)
{
    Fe power = fe_power(a);
    power = fe_square_times(power, 3);
    Fe cube = fe_square(a);
    cube = fe_mul(&cube, a);
    return fe_mul(&power, &cube);
}

static void fe_write(const Fe *a, uint8_t bytes[CURVE_BYTES])
{
    Fe t = fe_carry(fe_carry(*a));
    /* Does it reach the modulus? Then 19 more carry over the top. */
    uint64_t carry = 19;
    for (size_t i = 0; i < LIMBS; i++) {
        carry = (t.v[i] + carry) >> LIMB_BITS;
    }
    carry *= 19;
    for (size_t i = 0; i < LIMBS; i++) {
        t.v[i] += carry;
        carry = t.v[i] >> LIMB_BITS;
        t.v[i] &= LIMB_MASK;
    }
    const uint64_t words[] = {t.v[0] | t.v[1] << 51, t.v[1] >> 13 | t.v[2] << 38,
                              t.v[2] >> 26 | t.v[3] << 25, t.v[3] >> 39 | t.v[4] << 12};
    for (size_t i = 0; i < CURVE_BYTES; i++) {
        bytes[i] = (uint8_t)(words[i / 8] >> (i % 8 * 8));
    }
}

/* The top bit, a sign, is left out. */
static Fe fe_read(const uint8_t bytes[CURVE_BYTES])
{
    uint64_t words[4] = {0};
    for (size_t i = 0; i < CURVE_BYTES; i++) {
        words[i / 8] |= (uint64_t)bytes[i] << (i % 8 * 8);
    }
    return (Fe){{words[0] & LIMB_MASK, (words[0] >> 51 | words[1] << 13) & LIMB_MASK,
                 (words[1] >> 38 | words[2] << 26) & LIMB_MASK,
                 (words[2] >> 25 | words[3] << 39) & LIMB_MASK, words[3] >> 12 & LIMB_MASK}};
}

static bool fe_is_zero(const Fe *a)
{
    static const uint8_t zero[CURVE_BYTES];
    uint8_t bytes[CURVE_BYTES];
    fe_write(a, bytes);
    return memcmp(bytes, zero, sizeof(zero)) == 0;
}

static bool fe_equal(const Fe *a, const Fe *b)
{
    Fe difference = fe_sub(a, b);
    return fe_is_zero(&difference);
}

/* d of the curve: -121665/121666. */
static Fe fe_d(void)
{
    const Fe a = {{121665, 0, 0, 0, 0}};
    const Fe b = {{121666, 0, 0, 0, 0}};
    Fe inverse = fe_inverse(&b);
    Fe quotient = fe_mul(&a, &inverse);
    return fe_negative(&quotient);
}

/* ---- points ---- */

typedef struct Point {
    Fe x, y, z, t;
} Point;

static const Point POINT_ZERO = {.y = {{1, 0, 0, 0, 0}}, .z = {{1, 0, 0, 0, 0}}};

/* From what sums and doublings leave: x = a/d, y = b/c. */
static Point point_of(const Fe *a, const Fe *b, const Fe *c, const Fe *d)
{
    return (Point){.x = fe_mul(a, d), .y = fe_mul(b, c), .z = fe_mul(c, d), .t = fe_mul(a, b)};
}

static Point point_double(const Point *p)
{
    Fe xx = fe_square(&p->x);
    Fe yy = fe_square(&p->y);
    Fe zz = fe_square(&p->z);
    Fe both = fe_add(&p->x, &p->y);
    Fe square = fe_square(&both);
    Fe b = fe_add(&yy, &xx);
    Fe c = fe_carry(fe_sub(&yy, &xx)); /* tight: it is taken away from something below */
    Fe a = fe_sub(&square, &b);
    Fe twice = fe_add(&zz, &zz);
    Fe d = fe_sub(&twice, &c);
    return point_of(&a, &b, &c, &d);
}

/* p + q, or p - q: then the roles of q's y + x and y - x change, and its product's sign. */
static Point point_add_multiple(const Point *p, const CurveMultiple *q, bool negative)
{
    Fe plus = fe_add(&p->y, &p->x);
    Fe minus = fe_sub(&p->y, &p->x);
    plus = fe_mul(&plus, negative ? &q->minus : &q->plus);
    minus = fe_mul(&minus, negative ? &q->plus : &q->minus);
    Fe product = fe_mul(&q->product, &p->t);
    Fe twice = fe_add(&p->z, &p->z);
    Fe a = fe_sub(&plus, &minus);
    Fe b = fe_add(&plus, &minus);
    Fe more = fe_add(&twice, &product);
    Fe less = fe_sub(&twice, &product);
    return negative ? point_of(&a, &b, &less, &more) : point_of(&a, &b, &more, &less);
}

/* p + q. */
static Point point_add(const Point *p, const Point *q, const Fe *d)
{
    Fe p_minus = fe_sub(&p->y, &p->x);
    Fe q_minus = fe_sub(&q->y, &q->x);
    Fe p_plus = fe_add(&p->y, &p->x);
    Fe q_plus = fe_add(&q->y, &q->x);
    Fe minus = fe_mul(&p_minus, &q_minus);
    Fe plus = fe_mul(&p_plus, &q_plus);
    Fe product = fe_mul(&p->t, &q->t);
    product = fe_mul(&product, d);
    product = fe_add(&product, &product);
    Fe twice = fe_mul(&p->z, &q->z);
    twice = fe_add(&twice, &twice);
    Fe a = fe_sub(&plus, &minus);
    Fe b = fe_add(&plus, &minus);
    Fe more = fe_add(&twice, &product);
    Fe less = fe_sub(&twice, &product);
    return point_of(&a, &b, &more, &less);
}

static CurveMultiple multiple_of(const Fe *x, const Fe *y, const Fe *d)
{
    Fe xy = fe_mul(x, y);
    Fe product = fe_mul(&xy, d);
    return (CurveMultiple){
        .plus = fe_add(y, x), .minus = fe_sub(y, x), .product = fe_add(&product, &product)};
}

static void point_write(const Point *p, uint8_t bytes[CURVE_BYTES])
{
    Fe inverse = fe_inverse(&p->z);
    Fe x = fe_mul(&p->x, &inverse);
    Fe y = fe_mul(&p->y, &inverse);
    uint8_t of_x[CURVE_BYTES];
    fe_write(&x, of_x);
    fe_write(&y, bytes);
    bytes[CURVE_BYTES - 1] |= (uint8_t)((of_x[0] & 1) << 7);
}

/* RFC 8032, section 5.1.3. */
static bool point_read(const uint8_t bytes[CURVE_BYTES], const Fe *d, Fe *ret_x, Fe *ret_y)
{
    Fe y = fe_read(bytes);
    Fe yy = fe_square(&y);
    Fe u = fe_carry(fe_sub(&yy, &FE_ONE));
    Fe v = fe_mul(&yy, d);
    v = fe_carry(fe_add(&v, &FE_ONE));
    Fe v3 = fe_square(&v);
    v3 = fe_mul(&v3, &v);
    Fe uv7 = fe_square(&v3);
    uv7 = fe_mul(&uv7, &v);
    uv7 = fe_mul(&uv7, &u);
    Fe x = fe_power(&uv7);
    x = fe_mul(&x, &v3);
    x = fe_mul(&x, &u);
    Fe check = fe_square(&x);
    check = fe_mul(&check, &v);
    Fe negative_u = fe_negative(&u);
    if (!fe_equal(&check, &u)) {
        if (!fe_equal(&check, &negative_u)) {
            return false;
        }
        const Fe two = {{2, 0, 0, 0, 0}}; /* the root of -1: 2^((p - 1) / 4) */
        Fe root = fe_power(&two);
        root = fe_square(&root);
        root = fe_mul(&root, &two);
        x = fe_mul(&x, &root);
    }
    uint8_t of_x[CURVE_BYTES];
    fe_write(&x, of_x);
    bool odd = (bytes[CURVE_BYTES - 1] & 0x80) != 0;
    *ret_x = (of_x[0] & 1) == odd ? x : fe_negative(&x);
    *ret_y = y;
    return true;
}

/* ---- tables ---- */

/* The points of the table, each with its own z. */
static void find_points(Point points[TABLE_POINTS], const Fe *x, const Fe *y, const Fe *d)
{
    Point row = {.x = *x, .y = *y, .z = FE_ONE, .t = fe_mul(x, y)};
    for (size_t i = 0; i < CURVE_ROWS; i++) {
        Point *of_row = points + i * CURVE_MULTIPLES;
        of_row[0] = row;
        for (size_t j = 1; j < CURVE_MULTIPLES; j++) {
            of_row[j] = point_add(&of_row[j - 1], &row, d);
        }
        for (size_t j = 0; j < ROWS_APART_BITS; j++) {
            row = point_double(&row);
        }
    }
}

/* One inverse is enough for all: of the product of all z, which then is taken apart. */
static void fill(CurveTable *table, const Fe *x, const Fe *y, const Fe *d)
{
    Point points[TABLE_POINTS];
    Fe before[TABLE_POINTS]; /* the product of all z before this one's */
    Fe product = FE_ONE;
    find_points(points, x, y, d);
    for (size_t i = 0; i < TABLE_POINTS; i++) {
        before[i] = product;
        product = fe_mul(&product, &points[i].z);
    }
    Fe rest = fe_inverse(&product);
    for (size_t i = TABLE_POINTS; i-- > 0;) {
        Fe inverse = fe_mul(&rest, &before[i]);
        Fe point_x = fe_mul(&points[i].x, &inverse);
        Fe point_y = fe_mul(&points[i].y, &inverse);
        table->rows[i / CURVE_MULTIPLES][i % CURVE_MULTIPLES] = multiple_of(&point_x, &point_y, d);
        rest = fe_mul(&rest, &points[i].z);
    }
}

void curve_table_of_base(CurveTable *table)
{
    uint8_t encoded[CURVE_BYTES]; /* y = 4/5, x even */
    memset(encoded, 0x66, sizeof(encoded));
    encoded[0] = 0x58;
    Fe d = fe_d();
    Fe x;
    Fe y;
    if (point_read(encoded, &d, &x, &y)) {
        fill(table, &x, &y, &d);
    }
}

bool curve_table_of_negative(CurveTable *table, const uint8_t encoded[CURVE_BYTES])
{
    Fe d = fe_d();
    Fe x;
    Fe y;
    if (!point_read(encoded, &d, &x, &y)) {
        return false;
    }
    x = fe_negative(&x);
    fill(table, &x, &y, &d);
    return true;
}

/* ---- sums ---- */

/* Hexadecimal digits from -8 to 8, the lowest first. */
static void find_digits(const uint8_t number[CURVE_BYTES], int8_t digits[DIGITS])
{
    int carry = 0;
    for (size_t i = 0; i < DIGITS; i++) {
        int digit = (number[i / 2] >> (i % 2 * 4) & 0xf) + carry;
        carry = i + 1 < DIGITS && digit > CURVE_MULTIPLES ? 1 : 0;
        digits[i] = (int8_t)(digit - carry * 16);
    }
}

static void add_digit(Point *sum, const CurveTable *table, size_t row, int digit)
{
    if (digit != 0) {
        size_t at = (size_t)(digit < 0 ? -digit : digit) - 1;
        *sum = point_add_multiple(sum, &table->rows[row][at], digit < 0);
    }
}

/* Eight times a point of small order is the point zero, and of no other. */
static bool point_is_small(const Point *p)
{
    Point eight = *p;
    for (size_t i = 0; i < 3; i++) {
        eight = point_double(&eight);
    }
    return fe_is_zero(&eight.x);
}

bool curve_sum_is(const CurveTable *table_a, const uint8_t a[CURVE_BYTES],
                  const CurveTable *table_b, const uint8_t b[CURVE_BYTES],
                  const uint8_t encoded[CURVE_BYTES])
{
    int8_t digits_a[DIGITS];
    int8_t digits_b[DIGITS];
    find_digits(a, digits_a);
    find_digits(b, digits_b);
    Point sum = POINT_ZERO;
    for (size_t odd = 2; odd-- > 0;) { /* the odd digits first, which count sixteen times */
        for (size_t i = 0; i < CURVE_ROWS; i++) {
            add_digit(&sum, table_a, i, digits_a[2 * i + odd]);
            add_digit(&sum, table_b, i, digits_b[2 * i + odd]);
        }
        for (size_t j = 0; j < 4 && odd == 1; j++) {
            sum = point_double(&sum);
        }
    }
    uint8_t bytes[CURVE_BYTES];
    point_write(&sum, bytes);
    return memcmp(bytes, encoded, CURVE_BYTES) == 0 && !point_is_small(&sum);
}

#endif

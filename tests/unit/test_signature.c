/* Signatures checked by tables: always as libsodium does. */
#include "core/signature.h"
#include "unit.h"

#include <sodium.h>
#include <string.h>

enum { TEXT_BYTES = 50 };

typedef struct Pen {
    uint8_t key[EVENT_KEY_BYTES];
    uint8_t secret[crypto_sign_SECRETKEYBYTES];
} Pen;

static Pen pen_of(uint32_t number)
{
    uint8_t seed[EVENT_SEED_BYTES] = {0};
    memcpy(seed, &number, sizeof(number));
    Pen pen;
    crypto_sign_seed_keypair(pen.key, pen.secret, seed);
    return pen;
}

typedef struct Signed {
    uint8_t text[TEXT_BYTES];
    uint8_t signature[EVENT_SIGNATURE_BYTES];
} Signed;

static Signed sign(const Pen *pen, uint32_t number)
{
    Signed made = {.text = {0}};
    memcpy(made.text, &number, sizeof(number));
    crypto_sign_detached(made.signature, NULL, made.text, sizeof(made.text), pen->secret);
    return made;
}

static bool check(Checker *checker, const Pen *pen, const Signed *made)
{
    bool good = checker_text_is_good(checker, made->signature, made->text, TEXT_BYTES, pen->key);
    bool sodium =
        crypto_sign_verify_detached(made->signature, made->text, TEXT_BYTES, pen->key) == 0;
    assert_int_equal(good, sodium);
    return good;
}

/* Gives the key its table. */
static void learn(Checker *checker, const Pen *pen)
{
    for (uint32_t i = 0; i < CHECKER_EARNS; i++) {
        Signed made = sign(pen, i);
        assert_true(check(checker, pen, &made));
    }
}

static void good_ones_of_many_keys_are_found_good_by_tables(void **state)
{
    (void)state;
    enum { KEYS = 60, EACH = 20 };
    Checker *checker = checker_new();
    for (uint32_t i = 0; i < KEYS; i++) {
        Pen pen = pen_of(i);
        learn(checker, &pen);
        for (uint32_t j = 0; j < EACH; j++) {
            Signed made = sign(&pen, 1000 + j);
            assert_true(check(checker, &pen, &made));
        }
    }
    assert_int_equal(checker_by_table(checker), KEYS * EACH);
    checker_free(checker);
}

static void one_wrong_bit_anywhere_is_refused(void **state)
{
    (void)state;
    Checker *checker = checker_new();
    Pen pen = pen_of(7);
    learn(checker, &pen);
    for (size_t bit = 0; bit < 8 * (EVENT_SIGNATURE_BYTES + TEXT_BYTES); bit++) {
        Signed made = sign(&pen, 77);
        uint8_t *byte = bit / 8 < EVENT_SIGNATURE_BYTES
                            ? &made.signature[bit / 8]
                            : &made.text[bit / 8 - EVENT_SIGNATURE_BYTES];
        *byte ^= (uint8_t)(1 << bit % 8);
        assert_false(check(checker, &pen, &made));
    }
    assert_int_equal(checker_by_table(checker), 0);
    checker_free(checker);
}

/* S + L signs the same, and must not be taken. */
static void s_beyond_the_order_is_refused(void **state)
{
    (void)state;
    static const uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58,       0xd6,
                                      0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, [31] = 0x10};
    Checker *checker = checker_new();
    Pen pen = pen_of(8);
    learn(checker, &pen);
    Signed made = sign(&pen, 88);
    unsigned carry = 0;
    for (size_t i = 0; i < sizeof(order); i++) {
        carry += made.signature[32 + i] + (unsigned)order[i];
        made.signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_false(check(checker, &pen, &made));
    checker_free(checker);
}

static void another_ones_signature_is_refused(void **state)
{
    (void)state;
    Checker *checker = checker_new();
    Pen ann = pen_of(9);
    Pen bob = pen_of(10);
    learn(checker, &ann);
    learn(checker, &bob);
    Signed made = sign(&ann, 99);
    assert_false(check(checker, &bob, &made));
    assert_true(check(checker, &ann, &made));
    checker_free(checker);
}

/* R and key of small order: by them anybody could sign anything. */
static void points_of_small_order_are_refused(void **state)
{
    (void)state;
    Checker *checker = checker_new();
    Pen nobody = {.key = {1}}; /* the point zero: S = 0 and R = zero fit any text */
    Signed made = {.signature = {1}};
    for (int i = 0; i < 2 * CHECKER_EARNS; i++) {
        assert_false(check(checker, &nobody, &made));
    }
    Pen pen = pen_of(11);
    learn(checker, &pen);
    assert_false(check(checker, &pen, &made));
    checker_free(checker);
}

static void tables_and_keys_are_bounded(void **state)
{
    (void)state;
    Checker *checker = checker_new();
    for (uint32_t i = 0; i < CHECKER_TABLES_MAX + 10; i++) {
        Pen pen = pen_of(i);
        learn(checker, &pen);
    }
    for (uint32_t i = 0; i < CHECKER_KEYS_MAX + 10; i++) {
        Pen pen = pen_of(100000 + i);
        Signed made = sign(&pen, 1);
        assert_true(check(checker, &pen, &made));
    }
    uint64_t before = checker_by_table(checker);
    Pen last = pen_of(CHECKER_TABLES_MAX + 9);
    Signed made = sign(&last, 5);
    assert_true(check(checker, &last, &made));
    assert_int_equal(checker_by_table(checker), before + 1);
    Pen first = pen_of(0); /* it made room */
    made = sign(&first, 5);
    assert_true(check(checker, &first, &made));
    assert_int_equal(checker_by_table(checker), before + 1);
    checker_free(checker);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_ones_of_many_keys_are_found_good_by_tables),
        cmocka_unit_test(one_wrong_bit_anywhere_is_refused),
        cmocka_unit_test(s_beyond_the_order_is_refused),
        cmocka_unit_test(another_ones_signature_is_refused),
        cmocka_unit_test(points_of_small_order_are_refused),
        cmocka_unit_test(tables_and_keys_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Writes the table behind src/base/lookalike.c: what each character looks like (Unicode Technical
 * Standard 39, section 4, "prototype"), as ICU has it. Runs when the program is built, so that ICU
 * is needed there alone: in the program it would take some 5 MB of memory for 60 KB of data. */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unicode/unorm2.h>
#include <unicode/uspoof.h>
#include <unicode/ustring.h>

enum { CODES_END = 0x110000, UNITS_MAX = 64, BYTES_MAX = 256, TEXT_MAX = 1 << 16, COLUMNS = 90 };

/* All the answers, one behind the other; an answer that is there already is used again. */
typedef struct Answers {
    char text[TEXT_MAX];
    size_t len;
} Answers;

static void check(UErrorCode code, const char *what)
{
    if (U_FAILURE(code)) {
        fprintf(stderr, "make_lookalike: %s: %s\n", what, u_errorName(code));
        exit(1);
    }
}

static size_t answer_add(Answers *answers, const char *text, size_t len)
{
    const char *there = answers->len > 0 ? memmem(answers->text, answers->len, text, len) : NULL;
    if (there != NULL) {
        return (size_t)(there - answers->text);
    }
    if (len > TEXT_MAX - answers->len) {
        fprintf(stderr, "make_lookalike: the table has become too long\n");
        exit(1);
    }
    memcpy(answers->text + answers->len, text, len);
    answers->len += len;
    return answers->len - len;
}

/* False where the character looks like itself; or is never asked for, since it is decomposed
 * before. */
static bool prototype_of(const USpoofChecker *checker, const UNormalizer2 *nfd, UChar32 code,
                         char *ret_text, int32_t *ret_len)
{
    UErrorCode error = U_ZERO_ERROR;
    UChar units[2];
    UChar prototype[UNITS_MAX];
    UChar plain[UNITS_MAX];
    int32_t count = 0;
    U16_APPEND_UNSAFE(units, count, code);
    int32_t len = uspoof_getSkeleton(checker, 0, units, count, prototype, UNITS_MAX, &error);
    int32_t plain_len = unorm2_normalize(nfd, units, count, plain, UNITS_MAX, &error);
    check(error, "a character");
    bool whole = plain_len == count && u_memcmp(plain, units, count) == 0;
    if (!whole || (len == plain_len && u_memcmp(prototype, plain, len) == 0)) {
        return false;
    }
    u_strToUTF8(ret_text, BYTES_MAX, ret_len, prototype, len, &error);
    check(error, "a prototype");
    return true;
}

int main(void)
{
    static Answers answers;
    UErrorCode error = U_ZERO_ERROR;
    USpoofChecker *checker = uspoof_open(&error);
    const UNormalizer2 *nfd = unorm2_getNFDInstance(&error);
    check(error, "ICU's data");
    printf("/* Made by tools/make_lookalike.c of ICU %s. */\n", U_ICU_VERSION);
    printf("static const LookalikeRow ROWS[] = {\n");
    for (uint32_t code = 0; code < CODES_END; code++) {
        char text[BYTES_MAX];
        int32_t len = 0;
        if (!U_IS_SURROGATE(code) && prototype_of(checker, nfd, (UChar32)code, text, &len)) {
            printf("{0x%X, %zu, %d},\n", code, answer_add(&answers, text, (size_t)len), (int)len);
        }
    }
    printf("};\n\nstatic const char ANSWERS[] =");
    for (size_t i = 0; i < answers.len; i++) {
        printf(i % COLUMNS == 0 ? "\n\"\\%03o" : "\\%03o", (unsigned)(uint8_t)answers.text[i]);
        printf(i % COLUMNS == COLUMNS - 1 || i + 1 == answers.len ? "\"" : "");
    }
    printf(";\n");
    uspoof_close(checker);
    return 0;
}

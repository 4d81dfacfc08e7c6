/* Which line is which, where lines have no ids. */
#include "core/classic.h"

#include <sodium.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum { SECONDS_PER_DAY = 86400 };

typedef struct TextHash {
    uint8_t bytes[crypto_generichash_BYTES_MIN];
} TextHash;

typedef struct Text Text;

/* One line that was said; all equal ones hang on their text, oldest first. */
typedef struct Line {
    Text *text;
    int32_t second_of_day;
    int64_t time_ms;
    bool told_directly;
    uint8_t sources_count;
    NodeId sources[CLASSIC_SOURCES_MAX];
    struct Line *prev_equal;
    struct Line *next_equal;
    struct Line *prev;
    struct Line *next;
} Line;

struct Text {
    TextHash hash;
    Line *lines;
    UT_hash_handle hh;
};

struct ClassicLines {
    Text *texts;
    Line *lines; /* all, oldest first */
    size_t count;
};

ClassicLines *classic_lines_new(void)
{
    return mem_new(ClassicLines);
}

static void line_forget(ClassicLines *lines, Line *line)
{
    Text *text = line->text;
    DL_DELETE2(text->lines, line, prev_equal, next_equal);
    if (text->lines == NULL) {
        HASH_DEL(lines->texts, text);
        mem_free(text);
    }
    DL_DELETE(lines->lines, line);
    lines->count--;
    mem_free(line);
}

void classic_lines_free(ClassicLines *lines)
{
    if (lines == NULL) {
        return;
    }
    while (lines->lines != NULL) {
        line_forget(lines, lines->lines);
    }
    mem_free(lines);
}

static void hash_field(crypto_generichash_state *state, const char *text, size_t len)
{
    uint64_t prefix = len; /* so that "a" + "bc" is not "ab" + "c" */
    crypto_generichash_update(state, (const unsigned char *)&prefix, sizeof(prefix));
    crypto_generichash_update(state, (const unsigned char *)text, len);
}

static TextHash text_hash(const MessageDraft *draft)
{
    crypto_generichash_state state;
    TextHash hash;
    crypto_generichash_init(&state, NULL, 0, sizeof(hash.bytes));
    hash_field(&state, draft->sender, draft->sender_len);
    hash_field(&state, draft->content, draft->content_len);
    crypto_generichash_final(&state, hash.bytes, sizeof(hash.bytes));
    return hash;
}

static bool told_by(const Line *line, const NodeId *source)
{
    if (source == NULL) {
        return line->told_directly;
    }
    for (size_t i = 0; i < line->sources_count; i++) {
        if (memcmp(&line->sources[i], source, sizeof(*source)) == 0) {
            return true;
        }
    }
    return false;
}

static void add_source(Line *line, const NodeId *source)
{
    if (source == NULL) {
        line->told_directly = true;
    } else if (line->sources_count < CLASSIC_SOURCES_MAX) {
        line->sources[line->sources_count++] = *source;
    }
}

/* Around midnight too. */
static bool stamps_are_near(int32_t a, int32_t b)
{
    int32_t apart = a > b ? a - b : b - a;
    return apart <= CLASSIC_STAMP_SECONDS || apart >= SECONDS_PER_DAY - CLASSIC_STAMP_SECONDS;
}

static bool times_are_near(int64_t a, int64_t b)
{
    return (a > b ? a - b : b - a) <= CLASSIC_SKEW_MS;
}

static Line *line_add(ClassicLines *lines, Text *text, int32_t second_of_day, int64_t time_ms)
{
    Line *line = mem_new(Line);
    line->text = text;
    line->second_of_day = second_of_day;
    line->time_ms = time_ms;
    DL_APPEND2(text->lines, line, prev_equal, next_equal);
    DL_APPEND(lines->lines, line);
    lines->count++;
    return line;
}

bool classic_line_is_new(ClassicLines *lines, const MessageDraft *draft, int32_t second_of_day,
                         int64_t time_ms, const NodeId *source)
{
    TextHash hash = text_hash(draft);
    Text *text;
    HASH_FIND(hh, lines->texts, &hash, sizeof(hash), text);
    if (text == NULL) {
        text = mem_new(Text);
        text->hash = hash;
        HASH_ADD(hh, lines->texts, hash, sizeof(text->hash), text);
    }
    Line *line;
    DL_FOREACH2(text->lines, line, next_equal)
    {
        if (stamps_are_near(line->second_of_day, second_of_day) &&
            times_are_near(line->time_ms, time_ms) && !told_by(line, source)) {
            add_source(line, source);
            return false;
        }
    }
    add_source(line_add(lines, text, second_of_day, time_ms), source);
    if (lines->count > CLASSIC_LINES_MAX) {
        line_forget(lines, lines->lines);
    }
    return true;
}

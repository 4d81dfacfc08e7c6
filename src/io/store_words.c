/* What a word is: the tokenizer "chat" of FTS5, and the texts it is given.
 *
 *   "Grüße 東京👍"  ->  gruße 東 京 👍
 *
 * Words are SQLite's unicode61: runs of letters, marks and digits, folded, without accents. Scripts
 * that put no space between words, and symbols, are a word each character: what is searched for
 * becomes a phrase of them, and so is found anywhere in a line. */
#include "io/store_impl.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- characters that stand alone ---- */

typedef struct Range {
    uint32_t first;
    uint32_t last;
} Range;

/* Sorted. Names as in the Unicode Standard's Blocks.txt. */
static const Range LONE[] = {
    {0x0e00, 0x0fff},   /* Thai, Lao, Tibetan */
    {0x1000, 0x109f},   /* Myanmar */
    {0x1780, 0x17ff},   /* Khmer */
    {0x2190, 0x21ff},   /* arrows */
    {0x2300, 0x23ff},   /* watch, hourglass, ... */
    {0x2600, 0x27bf},   /* symbols, dingbats */
    {0x2b00, 0x2bff},   /* stars, ... */
    {0x2e80, 0x2fdf},   /* CJK radicals */
    {0x3005, 0x3007},   /* iteration mark, closing mark, zero */
    {0x3040, 0x30fa},   /* Hiragana, Katakana */
    {0x30fc, 0x312f},   /* Katakana, Bopomofo */
    {0x31a0, 0x31ff},   /* Bopomofo, strokes, Katakana */
    {0x3400, 0x4dbf},   /* CJK extension A */
    {0x4e00, 0x9fff},   /* CJK */
    {0xa000, 0xa4cf},   /* Yi */
    {0xf900, 0xfaff},   /* CJK compatibility */
    {0xff66, 0xff9f},   /* half-width Katakana */
    {0x1f000, 0x1faff}, /* emoji */
    {0x20000, 0x3ffff}, /* CJK extensions B and on */
};

/* Says how something before it looks: no part of any word. */
static bool is_variation_selector(uint32_t c)
{
    return c >= 0xfe00 && c <= 0xfe0f;
}

static bool is_lone(uint32_t c)
{
    size_t low = 0;
    size_t high = sizeof(LONE) / sizeof(LONE[0]);
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (c > LONE[middle].last) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sizeof(LONE) / sizeof(LONE[0]) && c >= LONE[low].first;
}

/* text[0..len) is one character, UTF-8. */
static uint32_t code_point(const char *text, size_t len)
{
    static const uint8_t FIRST[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t c = (uint8_t)text[0] & FIRST[len <= 4 ? len : 0];
    for (size_t i = 1; i < len; i++) {
        c = c << 6 | ((uint8_t)text[i] & 0x3f);
    }
    return c;
}

/* ---- the tokenizer ---- */

typedef struct Chat {
    fts5_tokenizer words; /* unicode61 */
    Fts5Tokenizer *instance;
} Chat;

typedef struct Part {
    TokenDone done;
    void *context;
    int offset; /* of the part in the text */
} Part;

static int part_token(void *context, int flags, const char *token, int len, int start, int end)
{
    const Part *part = context;
    return part->done(part->context, flags, token, len, part->offset + start, part->offset + end);
}

static int chat_tokenize(Fts5Tokenizer *tokenizer, void *context, int flags, const char *text,
                         int text_len, TokenDone done)
{
    Chat *chat = (Chat *)(void *)tokenizer;
    size_t len = text_len > 0 ? (size_t)text_len : 0;
    size_t start = 0; /* of what is not tokenized yet */
    int code = SQLITE_OK;
    for (size_t at = 0, next = 0; code == SQLITE_OK && start < len; at = next) {
        size_t char_len = at < len ? text_char_len(text + at, len - at) : 0;
        uint32_t c = char_len > 0 ? code_point(text + at, char_len) : 0;
        bool lone = char_len > 1 && is_lone(c);
        next = at + char_len;
        if (at < len && !lone && !is_variation_selector(c)) {
            continue;
        }
        if (at > start) {
            Part part = {.done = done, .context = context, .offset = (int)start};
            code = chat->words.xTokenize(chat->instance, &part, flags, text + start,
                                         (int)(at - start), part_token);
        }
        if (code == SQLITE_OK && lone) {
            code = done(context, 0, text + at, (int)char_len, (int)at, (int)next);
        }
        start = next;
    }
    return code;
}

static int chat_create(void *context, const char **args, int args_count, Fts5Tokenizer **ret)
{
    static const char *words[] = {"remove_diacritics", "2", "categories", "L* M* N* Co"};
    fts5_api *api = context;
    (void)args;
    (void)args_count;
    void *user_data = NULL;
    Chat *chat = mem_new(Chat);
    int code = api->xFindTokenizer(api, "unicode61", &user_data, &chat->words);
    if (code == SQLITE_OK) {
        code = chat->words.xCreate(user_data, words, sizeof(words) / sizeof(words[0]),
                                   &chat->instance);
    }
    if (code != SQLITE_OK) {
        mem_free(chat);
        return code;
    }
    *ret = (Fts5Tokenizer *)(void *)chat;
    return SQLITE_OK;
}

static void chat_delete(Fts5Tokenizer *tokenizer)
{
    Chat *chat = (Chat *)(void *)tokenizer;
    chat->words.xDelete(chat->instance);
    mem_free(chat);
}

/* ---- the same, without a table ---- */

static int fts5_of(sqlite3 *sqlite, fts5_api **ret_api)
{
    sqlite3_stmt *statement = NULL;
    int code = sqlite3_prepare_v2(sqlite, "SELECT fts5(?1)", -1, &statement, NULL);
    if (code == SQLITE_OK) {
        sqlite3_bind_pointer(statement, 1, ret_api, "fts5_api_ptr", NULL);
        sqlite3_step(statement);
        code = sqlite3_finalize(statement);
    }
    return code == SQLITE_OK && *ret_api == NULL ? SQLITE_ERROR : code;
}

Splitter *splitter_new(sqlite3 *sqlite)
{
    fts5_api *api = NULL;
    Fts5Tokenizer *chat = NULL;
    int code = fts5_of(sqlite, &api);
    code = code == SQLITE_OK ? chat_create(api, NULL, 0, &chat) : code;
    return code == SQLITE_OK ? (Splitter *)(void *)chat : NULL;
}

void splitter_free(Splitter *splitter)
{
    if (splitter != NULL) {
        chat_delete((Fts5Tokenizer *)(void *)splitter);
    }
}

int splitter_run(Splitter *splitter, const char *text, size_t len, TokenDone done, void *context)
{
    return chat_tokenize((Fts5Tokenizer *)(void *)splitter, context, FTS5_TOKENIZE_DOCUMENT, text,
                         (int)len, done);
}

void words_room(char name[WORDS_ROOM_BYTES], int64_t room)
{
    snprintf(name, WORDS_ROOM_BYTES, "\xee\x80\x80%" PRId64, room); /* U+E000 */
}

/* ---- event_field(bytes, which): what the view `texts` is made of ---- */

static void give_field(sqlite3_context *context, const EventFields *fields, int which)
{
    switch (which) {
    case WORDS_SENDER:
        sqlite3_result_text(context, fields->sender, (int)fields->sender_len, SQLITE_TRANSIENT);
        break;
    case WORDS_KIND:
        sqlite3_result_int(context, fields->kind);
        break;
    default:
        sqlite3_result_text(context, (const char *)fields->body, (int)fields->body_len,
                            SQLITE_TRANSIENT);
    }
}

/* Of a sealed one what is within, as far as it can be read here. */
static void event_field(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const void *data = sqlite3_value_blob(values[0]);
    int len = sqlite3_value_bytes(values[0]);
    if (data == NULL || len > EVENT_MAX_BYTES) {
        return;
    }
    Bytes *bytes = bytes_new(data, (size_t)len);
    LogEvent *event = NULL;
    const char *reason = NULL;
    if (event_decode(bytes, NULL, &event, &reason) == ERR_OK) {
        Seals *seals = sqlite3_user_data(context);
        LogEvent *opened = seals != NULL ? seals_open(seals, event) : event_ref(event);
        if (opened != NULL) {
            give_field(context, &opened->fields, sqlite3_value_int(values[1]));
        }
        event_unref(opened);
        event_unref(event);
    }
    bytes_unref(bytes);
}

bool words_wanted(const EventFields *fields)
{
    return (fields->kind == LOG_TEXT || fields->kind == LOG_ACTION || fields->kind == LOG_TOPIC) &&
           fields->body_len > 0 && text_is_utf8((const char *)fields->body, fields->body_len);
}

/* ---- a connection learns both ---- */

static int learn_event_field(sqlite3 *sqlite, Seals *seals)
{
    return sqlite3_create_function(sqlite, "event_field", 2,
                                   SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS, seals,
                                   event_field, NULL, NULL);
}

int db_learn_words(sqlite3 *sqlite)
{
    fts5_api *api = NULL;
    int code = fts5_of(sqlite, &api);
    if (code != SQLITE_OK) {
        return code;
    }
    fts5_tokenizer chat = {chat_create, chat_delete, chat_tokenize};
    code = api->xCreateTokenizer(api, "chat", api, &chat, NULL);
    if (code != SQLITE_OK) {
        return code;
    }
    return learn_event_field(sqlite, NULL);
}

int db_use_seals(Db *db, Seals *seals)
{
    return learn_event_field(db->sqlite, seals);
}

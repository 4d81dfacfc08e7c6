/* Names and their keys.
 *
 *   keys       each with its rows, the last heard at the end
 *   rows       one for each name of each key; those of all but members, the last heard at the end
 *   buckets    the rows that look alike, in both ways (LookalikeKey): members first, then in the
 *              order in which they came. The first one's key is whose name it is */
#include "core/names.h"

#include "base/lookalike.h"
#include "core/members.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

enum {
    DIGEST_BYTES = 16, /* nobody finds two names for one */
    /* Longer than any name that was let in: control characters are made visible. */
    NAME_MAX_BYTES = 256,
    FINGERPRINT_HEX_MAX = 16, /* of the longer form (members.h) */
    FINGERPRINT_HEX_MIN = 4,
    GROUP_DIGITS = 4,
    VERDICTS = 256, /* remembered: who speaks much is looked up once */
};

typedef struct Digest {
    uint8_t bytes[DIGEST_BYTES];
} Digest;

typedef struct Bucket {
    Digest digest;
    struct Row *rows;
    UT_hash_handle hh;
} Bucket;

typedef struct Holder {
    uint8_t key[EVENT_KEY_BYTES];
    struct Row *rows;
    size_t count; /* that are no member's */
    UT_hash_handle hh;
} Holder;

typedef struct Row {
    Holder *holder;
    char *name;
    bool member;
    bool pinned; /* this node's own */
    Bucket *bucket[LOOKALIKE_KEYS];
    struct Row *prev_alike[LOOKALIKE_KEYS];
    struct Row *next_alike[LOOKALIKE_KEYS];
    struct Row *prev_of_key;
    struct Row *next_of_key;
    struct Row *prev;
    struct Row *next;
} Row;

typedef struct Verdict {
    uint64_t generation; /* 0: none */
    uint8_t key[EVENT_KEY_BYTES];
    char name[NAME_MAX_BYTES + 1];
    bool misleads;
    bool other_members; /* it, or what looks like it */
    Row *row;           /* NULL: it has none */
} Verdict;

struct Names {
    uint8_t own_key[EVENT_KEY_BYTES];
    Holder *holders;
    Bucket *buckets[LOOKALIKE_KEYS];
    Row *rows; /* but for members' and own ones; who makes room next is the first */
    size_t rows_count;
    Row *members;
    size_t members_count;
    Row *own;
    uint64_t generation; /* rises when a verdict may have changed */
    Verdict *verdicts;
};

/* ---- what a name looks like ---- */

static Digest digest_of(LookalikeKey key, const char *name, StrBuf *ret_text)
{
    Digest digest;
    strbuf_clear(ret_text);
    lookalike_add_key(ret_text, key, name, strlen(name));
    crypto_generichash(digest.bytes, sizeof(digest.bytes), (const uint8_t *)strbuf_text(ret_text),
                       ret_text->len, NULL, 0);
    return digest;
}

/* What the program itself writes at the beginning of a line, or of a word in it: "-- a notice",
 * "* ann waves", "[16:00:00]", "#dev", "@bob", "/help". The last one is what dashes of any length
 * look like. */
static const char *const SIGNS_BEFORE[] = {"-", "*", "[", "<", "#", "@", "/", "\u30fc"};
/* And between: "ann: hi", "ann -> bob", "bob~3f2a-91bc". */
static const char SIGNS_WITHIN[] = ":>~";

/* Of its key as seen, where all that looks like one of these is one of these. */
static bool reads_like_the_program(const StrBuf *seen)
{
    const char *text = strbuf_text(seen);
    if (seen->len == 0 || text[strcspn(text, SIGNS_WITHIN)] != '\0') {
        return true;
    }
    for (size_t i = 0; i < sizeof(SIGNS_BEFORE) / sizeof(SIGNS_BEFORE[0]); i++) {
        if (strncmp(text, SIGNS_BEFORE[i], strlen(SIGNS_BEFORE[i])) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- fingerprints ---- */

static void add_fingerprint(const uint8_t key[EVENT_KEY_BYTES], char ret_hex[], size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t hash[crypto_generichash_BYTES];
    crypto_generichash(hash, sizeof(hash), key, EVENT_KEY_BYTES, NULL, 0);
    for (size_t i = 0; i < digits; i++) {
        unsigned byte = hash[i / 2];
        ret_hex[i] = hex[i % 2 == 0 ? byte >> 4 : byte & 0xf];
    }
}

void name_fingerprint(const uint8_t key[EVENT_KEY_BYTES], char ret_text[NAME_FINGERPRINT_BYTES])
{
    char whole[FINGERPRINT_BYTES];
    fingerprint_text(key, whole);
    memcpy(ret_text, whole, NAME_FINGERPRINT_BYTES - 1);
    ret_text[NAME_FINGERPRINT_BYTES - 1] = '\0';
}

/* Its hex digits, small; 0: it is no beginning of a fingerprint. */
static size_t parse_fingerprint(const char *who, size_t len, char ret_hex[FINGERPRINT_HEX_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        char c = who[i] >= 'A' && who[i] <= 'F' ? (char)(who[i] - 'A' + 'a') : who[i];
        if (c == '-' && count > 0 && count % GROUP_DIGITS == 0) {
            continue;
        }
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (!digit || count == FINGERPRINT_HEX_MAX) {
            return 0;
        }
        ret_hex[count++] = c;
    }
    return count >= FINGERPRINT_HEX_MIN ? count : 0;
}

bool name_fingerprint_begins(const uint8_t key[EVENT_KEY_BYTES], const char *who, size_t len)
{
    char asked[FINGERPRINT_HEX_MAX];
    char real[FINGERPRINT_HEX_MAX];
    size_t digits = parse_fingerprint(who, len, asked);
    add_fingerprint(key, real, sizeof(real));
    return digits > 0 && memcmp(asked, real, digits) == 0;
}

/* ---- rows ---- */

static Holder *holder_find(const Names *names, const uint8_t *key)
{
    Holder *holder = NULL;
    HASH_FIND(hh, names->holders, key, EVENT_KEY_BYTES, holder);
    return holder;
}

static Holder *holder_get(Names *names, const uint8_t *key)
{
    Holder *holder = holder_find(names, key);
    if (holder == NULL) {
        holder = mem_new(Holder);
        memcpy(holder->key, key, EVENT_KEY_BYTES);
        HASH_ADD(hh, names->holders, key, EVENT_KEY_BYTES, holder);
    }
    return holder;
}

static Bucket *bucket_find(const Names *names, LookalikeKey key, const Digest *digest)
{
    Bucket *bucket = NULL;
    HASH_FIND(hh, names->buckets[key], digest, sizeof(*digest), bucket);
    return bucket;
}

/* Behind the members, or behind all. */
static void bucket_put(Names *names, LookalikeKey key, const Digest *digest, Row *row)
{
    Bucket *bucket = bucket_find(names, key, digest);
    if (bucket == NULL) {
        bucket = mem_new(Bucket);
        bucket->digest = *digest;
        HASH_ADD(hh, names->buckets[key], digest, sizeof(*digest), bucket);
    }
    row->bucket[key] = bucket;
    Row *behind = bucket->rows;
    while (row->member && behind != NULL && behind->member) {
        behind = behind->next_alike[key];
    }
    if (row->member && behind != NULL) {
        DL_PREPEND_ELEM2(bucket->rows, behind, row, prev_alike[key], next_alike[key]);
    } else {
        DL_APPEND2(bucket->rows, row, prev_alike[key], next_alike[key]);
    }
}

static void bucket_take(Names *names, LookalikeKey key, Row *row)
{
    Bucket *bucket = row->bucket[key];
    DL_DELETE2(bucket->rows, row, prev_alike[key], next_alike[key]);
    if (bucket->rows == NULL) {
        HASH_DEL(names->buckets[key], bucket);
        mem_free(bucket);
    }
}

static Row **list_of(Names *names, const Row *row)
{
    return row->member ? &names->members : &names->rows;
}

static void row_remove(Names *names, Row *row)
{
    Holder *holder = row->holder;
    for (LookalikeKey key = 0; key < LOOKALIKE_KEYS; key++) {
        bucket_take(names, key, row);
    }
    DL_DELETE2(holder->rows, row, prev_of_key, next_of_key);
    if (!row->pinned) {
        DL_DELETE(*list_of(names, row), row);
    }
    if (row->member) {
        names->members_count--;
    } else if (!row->pinned) {
        holder->count--;
        names->rows_count--;
    }
    if (holder->rows == NULL) {
        HASH_DEL(names->holders, holder);
        mem_free(holder);
    }
    mem_free(row->name);
    mem_free(row);
    names->generation++;
}

static Row *oldest_of(const Holder *holder)
{
    Row *row;
    DL_FOREACH2(holder->rows, row, next_of_key)
    {
        if (!row->member && !row->pinned) {
            return row;
        }
    }
    return NULL;
}

static void make_room(Names *names, const uint8_t *key)
{
    const Holder *holder = holder_find(names, key);
    if (holder != NULL && holder->count >= NAMES_OF_KEY_MAX) {
        row_remove(names, oldest_of(holder));
    } else if (names->rows_count >= NAMES_MAX) {
        row_remove(names, names->rows);
    }
}

typedef enum RowKind { ROW_HEARD, ROW_MEMBER, ROW_OWN } RowKind;

static Row *row_add(Names *names, const uint8_t *key, const char *name, RowKind kind)
{
    AUTO_STRBUF StrBuf text = {0};
    if (kind == ROW_HEARD) {
        make_room(names, key);
    }
    Row *row = mem_new(Row);
    row->holder = holder_get(names, key);
    row->name = mem_copy_string(name);
    row->member = kind == ROW_MEMBER;
    row->pinned = kind == ROW_OWN;
    for (LookalikeKey like = 0; like < LOOKALIKE_KEYS; like++) {
        Digest digest = digest_of(like, name, &text);
        bucket_put(names, like, &digest, row);
    }
    DL_APPEND2(row->holder->rows, row, prev_of_key, next_of_key);
    if (kind == ROW_MEMBER) {
        DL_APPEND(names->members, row);
        names->members_count++;
    } else if (kind == ROW_HEARD) {
        DL_APPEND(names->rows, row);
        names->rows_count++;
        row->holder->count++;
    }
    names->generation++;
    return row;
}

static Row *row_find(const Names *names, const uint8_t *key, const char *name)
{
    const Holder *holder = holder_find(names, key);
    Row *row = NULL;
    if (holder == NULL) {
        return NULL;
    }
    DL_FOREACH2(holder->rows, row, next_of_key)
    {
        if (strcmp(row->name, name) == 0) {
            return row;
        }
    }
    return NULL;
}

/* It was heard just now. */
static void row_touch(Names *names, Row *row)
{
    if (row->member || row->pinned) {
        return;
    }
    DL_DELETE(names->rows, row);
    DL_APPEND(names->rows, row);
    if (row->next_of_key != NULL) {
        DL_DELETE2(row->holder->rows, row, prev_of_key, next_of_key);
        DL_APPEND2(row->holder->rows, row, prev_of_key, next_of_key);
    }
}

/* ---- who goes by which name ---- */

Names *names_new(const uint8_t own_key[EVENT_KEY_BYTES], const char *own_name)
{
    Names *names = mem_new(Names);
    names->generation = 1;
    names->verdicts = mem_array(VERDICTS, sizeof(Verdict));
    memcpy(names->own_key, own_key, EVENT_KEY_BYTES);
    names->own = row_add(names, own_key, own_name, ROW_OWN);
    return names;
}

void names_free(Names *names)
{
    if (names == NULL) {
        return;
    }
    names_clear_members(names);
    while (names->rows != NULL) {
        row_remove(names, names->rows);
    }
    row_remove(names, names->own);
    mem_free(names->verdicts);
    mem_free(names);
}

/* The name before stays this key's, as one that was heard. */
void names_rename_own(Names *names, const char *name)
{
    if (strcmp(names->own->name, name) == 0) {
        return;
    }
    AUTO_FREE char *before = mem_copy_string(names->own->name);
    Row *there = row_find(names, names->own_key, name);
    if (there != NULL && !there->member && !there->pinned) {
        row_remove(names, there);
    }
    Row *own = row_add(names, names->own_key, name, ROW_OWN);
    row_remove(names, names->own);
    names->own = own;
    names_claim(names, names->own_key, before);
}

void names_clear_members(Names *names)
{
    while (names->members != NULL) {
        row_remove(names, names->members);
    }
}

void names_add_member(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    if (names->members_count < NAMES_MEMBERS_MAX) {
        row_add(names, key, name, ROW_MEMBER);
    }
}

void names_claim(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    if (strlen(name) > NAME_MAX_BYTES || name[0] == '\0') {
        return;
    }
    Row *row = row_find(names, key, name);
    if (row != NULL) {
        row_touch(names, row);
    } else {
        row_add(names, key, name, ROW_HEARD);
    }
}

/* Whose name it is; NULL: nobody's yet. */
static const Row *first_alike(const Names *names, LookalikeKey like, const char *name, StrBuf *text)
{
    Digest digest = digest_of(like, name, text);
    const Bucket *bucket = bucket_find(names, like, &digest);
    return bucket != NULL ? bucket->rows : NULL;
}

static bool is_of(const Row *row, const uint8_t *key)
{
    return memcmp(row->holder->key, key, EVENT_KEY_BYTES) == 0;
}

/* A member's own name never misleads, whoever else was heard by one that looks like it. */
static void judge(const Names *names, const uint8_t *key, const char *name, Verdict *verdict)
{
    AUTO_STRBUF StrBuf text = {0};
    bool others = false;
    bool members_own = false;
    verdict->other_members = false;
    for (LookalikeKey like = 0; like < LOOKALIKE_KEYS; like++) {
        const Row *row = first_alike(names, like, name, &text);
        bool own = row != NULL && is_of(row, key);
        bool member = row != NULL && row->member;
        others = others || (row != NULL && !own);
        members_own = members_own || (member && own && strcmp(row->name, name) == 0);
        verdict->other_members = verdict->other_members || (member && !own);
    }
    /* The last key was the one as seen. */
    verdict->misleads = reads_like_the_program(&text) || (others && !members_own);
    verdict->row = row_find(names, key, name);
}

/* By the last bytes of both: what is short and differs there, most do. */
static size_t verdict_slot(const uint8_t *key, const char *name)
{
    uint32_t hash = 2166136261U;
    for (size_t i = 0; i < 4; i++) {
        hash = (hash ^ key[i]) * 16777619U;
    }
    for (; *name != '\0'; name++) {
        hash = (hash ^ (uint8_t)*name) * 16777619U;
    }
    return hash % VERDICTS;
}

/* NULL: no name is as long. */
static const Verdict *verdict_of(Names *names, const uint8_t *key, const char *name)
{
    size_t len = strlen(name);
    if (len > NAME_MAX_BYTES) {
        return NULL;
    }
    Verdict *verdict = &names->verdicts[verdict_slot(key, name)];
    if (verdict->generation != names->generation ||
        memcmp(verdict->key, key, EVENT_KEY_BYTES) != 0 || strcmp(verdict->name, name) != 0) {
        verdict->generation = names->generation;
        memcpy(verdict->key, key, EVENT_KEY_BYTES);
        memcpy(verdict->name, name, len + 1);
        judge(names, key, name, verdict);
    }
    return verdict;
}

bool names_misleads(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    const Verdict *verdict = verdict_of(names, key, name);
    if (verdict != NULL && verdict->row != NULL) {
        row_touch(names, verdict->row);
    }
    return verdict == NULL || verdict->misleads;
}

bool names_is_of_other_member(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name)
{
    const Verdict *verdict = verdict_of(names, key, name);
    return verdict != NULL && verdict->other_members;
}

/* ---- who is meant ---- */

static bool goes_by(const Holder *holder, const char *name, size_t len)
{
    const Row *row;
    DL_FOREACH2(holder->rows, row, next_of_key)
    {
        if (strlen(row->name) == len && memcmp(row->name, name, len) == 0) {
            return true;
        }
    }
    return false;
}

/* "bob", "bob~3f2a-91bc". */
static bool is_called(const Holder *holder, const char *who, size_t len)
{
    if (goes_by(holder, who, len)) {
        return true;
    }
    const char *mark = memrchr(who, '~', len);
    if (mark == NULL) {
        return false;
    }
    size_t name_len = (size_t)(mark - who);
    return goes_by(holder, who, name_len) &&
           name_fingerprint_begins(holder->key, mark + 1, len - name_len - 1);
}

size_t names_find(const Names *names, const char *who, size_t len,
                  uint8_t (*ret_keys)[EVENT_KEY_BYTES], size_t max)
{
    size_t count = 0;
    for (const Holder *holder = names->holders; holder != NULL; holder = holder->hh.next) {
        if (is_called(holder, who, len) || name_fingerprint_begins(holder->key, who, len)) {
            if (count < max) {
                memcpy(ret_keys[count], holder->key, EVENT_KEY_BYTES);
            }
            count++;
        }
    }
    return count;
}

const char *names_of(const Names *names, const uint8_t key[EVENT_KEY_BYTES])
{
    const Holder *holder = holder_find(names, key);
    return holder != NULL ? holder->rows->prev_of_key->name : NULL;
}

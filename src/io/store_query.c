/* From what somebody typed to an expression of FTS5.
 *
 *   deploy wor* "two words"  ->  {sender body} : "deploy" {sender body} : "wor" * ...
 *
 * How a word starts has three forms. FTS5 has an index of words' first QUERY_START_CHARS
 * characters, and gives what is in it the newest first, for as long as somebody wants more. For a
 * longer start it would collect every text of every such word before it gives the first. So the
 * search asks for the first characters alone (QUERY_LOOSE) and looks itself at what comes; where
 * little of that fits, it asks for the whole (QUERY_EXACT), which is then quick. And for a snippet
 * the words that a text has are spelled out (query_write_for). */
#include "io/store_impl.h"

#include <string.h>

enum {
    /* Words of one text that are marked for one start: a snippet has 24 words. */
    SPELLED_MAX = 16,
};

typedef struct Term {
    char *text;  /* as typed; FTS5 finds its words, and takes several for a phrase */
    char *start; /* instead: the word that is to be started with */
    bool star;   /* the last of several words is a start: "it's-so*" */
} Term;

struct Query {
    Splitter *splitter;
    Term *terms;
    size_t count;
};

/* ---- reading ---- */

typedef struct Tokens {
    size_t count;
    StrBuf last;
} Tokens;

static int on_typed_token(void *context, int flags, const char *token, int len, int start, int end)
{
    Tokens *tokens = context;
    (void)flags;
    (void)start;
    (void)end;
    tokens->count++;
    strbuf_clear(&tokens->last);
    strbuf_add(&tokens->last, token, (size_t)len);
    return SQLITE_OK;
}

/* Bytes of the first characters, or of all where there are fewer. */
static size_t cut(const char *text, size_t chars, size_t *ret_chars)
{
    size_t at = 0;
    *ret_chars = 0;
    while (text[at] != '\0' && *ret_chars < chars) {
        at++;
        while (((uint8_t)text[at] & 0xc0) == 0x80) {
            at++;
        }
        ++*ret_chars;
    }
    return at;
}

static Term starred_term(Query *query, const char *text, size_t len)
{
    Tokens tokens = {0};
    Term term = {.text = mem_copy_text(text, len)};
    size_t chars = 0;
    splitter_run(query->splitter, text, len, on_typed_token, &tokens);
    cut(strbuf_text(&tokens.last), QUERY_START_CHARS, &chars);
    if (tokens.count > 0 && chars == QUERY_START_CHARS) {
        term.star = tokens.count > 1;
        term.start = term.star ? NULL : strbuf_take(&tokens.last);
    }
    strbuf_done(&tokens.last);
    return term;
}

Query *query_new(Db *db, const char *words)
{
    Query *query = mem_new(Query);
    query->splitter = splitter_new(db->sqlite);
    query->terms = mem_array(strlen(words) + 1, sizeof(*query->terms));
    const char *at = words;
    while (query->splitter != NULL && *(at += strspn(at, " \t")) != '\0') {
        bool phrase = *at == '"';
        at += phrase ? 1 : 0;
        size_t len = strcspn(at, phrase ? "\"" : " \t\"");
        bool starred = !phrase && len > 1 && at[len - 1] == '*';
        if (starred) {
            query->terms[query->count++] = starred_term(query, at, len - 1);
        } else if (len > 0) {
            query->terms[query->count++] = (Term){.text = mem_copy_text(at, len)};
        }
        at += len;
        at += phrase && *at == '"' ? 1 : 0;
    }
    return query;
}

void query_free(Query *query)
{
    for (size_t i = 0; i < query->count; i++) {
        mem_free(query->terms[i].text);
        mem_free(query->terms[i].start);
    }
    mem_free(query->terms);
    splitter_free(query->splitter);
    mem_free(query);
}

bool query_is_empty(const Query *query)
{
    return query->count == 0;
}

bool query_can_be_loose(const Query *query)
{
    bool longer = false;
    for (size_t i = 0; i < query->count; i++) {
        size_t chars = 0;
        const Term *term = &query->terms[i];
        if (term->star) {
            return false; /* query_fits knows nothing of what stands side by side */
        }
        longer = longer ||
                 (term->start != NULL && term->start[cut(term->start, QUERY_START_CHARS, &chars)]);
    }
    return longer;
}

/* ---- writing ---- */

/* As a string of FTS5, in which nothing but the quote means anything. */
static void add_quoted(StrBuf *out, const char *text, size_t len)
{
    strbuf_add_char(out, '"');
    for (size_t i = 0; i < len; i++) {
        if (text[i] == '"') {
            strbuf_add_char(out, '"');
        }
        strbuf_add_char(out, text[i]);
    }
    strbuf_add_string(out, "\" ");
}

/* Side by side, not joined with AND: then FTS5 leaves out what has no word in it. */
void query_add_term(StrBuf *out, const char *columns, const char *text)
{
    strbuf_addf(out, "%s : ", columns);
    add_quoted(out, text, strlen(text));
}

void query_write(const Query *query, QueryForm form, StrBuf *out)
{
    for (size_t i = 0; i < query->count; i++) {
        const Term *term = &query->terms[i];
        const char *text = term->start != NULL ? term->start : term->text;
        size_t chars = 0;
        size_t len = form == QUERY_LOOSE && term->start != NULL
                         ? cut(text, QUERY_START_CHARS, &chars)
                         : strlen(text);
        strbuf_add_string(out, "{sender body} : ");
        add_quoted(out, text, len);
        strbuf_add_string(out, term->star || term->start != NULL ? "* " : "");
    }
}

/* ---- looking at a text ---- */

typedef struct Look {
    const char *start;
    size_t start_len;
    size_t found;
    StrBuf *spelled; /* NULL: whether there is one is enough */
} Look;

static int on_token(void *context, int flags, const char *token, int len, int start, int end)
{
    Look *look = context;
    (void)flags;
    (void)start;
    (void)end;
    if ((size_t)len < look->start_len || memcmp(token, look->start, look->start_len) != 0) {
        return SQLITE_OK;
    }
    if (look->spelled != NULL) {
        strbuf_add_string(look->spelled, look->found > 0 ? "OR " : "");
        add_quoted(look->spelled, token, (size_t)len);
    }
    look->found++;
    size_t wanted = look->spelled != NULL ? SPELLED_MAX : 1;
    return look->found < wanted ? SQLITE_OK : SQLITE_DONE;
}

static size_t look_for(const Query *query, const char *start, const EventFields *fields,
                       StrBuf *spelled)
{
    Look look = {.start = start, .start_len = strlen(start), .spelled = spelled};
    int code = splitter_run(query->splitter, fields->sender, fields->sender_len, on_token, &look);
    if (code == SQLITE_OK) {
        splitter_run(query->splitter, (const char *)fields->body, fields->body_len, on_token,
                     &look);
    }
    return look.found;
}

bool query_fits(const Query *query, const EventFields *fields)
{
    for (size_t i = 0; i < query->count; i++) {
        const char *start = query->terms[i].start;
        if (start != NULL && look_for(query, start, fields, NULL) == 0) {
            return false;
        }
    }
    return true;
}

/* That the text fits is known: any of the words will do, and so "OR", which does not mind what has
 * no word in it. */
void query_write_for(const Query *query, const EventFields *fields, StrBuf *out)
{
    for (size_t i = 0; i < query->count; i++) {
        const Term *term = &query->terms[i];
        strbuf_add_string(out, i > 0 ? "OR {sender body} : (" : "{sender body} : (");
        if (term->start == NULL) {
            add_quoted(out, term->text, strlen(term->text));
            strbuf_add_string(out, term->star ? "* " : "");
        } else if (look_for(query, term->start, fields, out) == 0) {
            add_quoted(out, term->start, strlen(term->start));
        }
        strbuf_add_string(out, ") ");
    }
}

/* Whose lines this node's person does not want to see. They are kept, passed on, and given to the
 * programs of this node, which choose for themselves; here they are not shown, nor found again. */
#include "core/core_state.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum {
    IGNORED_MAX = 1000, /* more than a person will ever name; a text of 140 KB at most */
    KEY_DIGITS = 2 * EVENT_KEY_BYTES,
    FOUND_MAX = 8, /* told where a name is not enough */
};

static int compare_keys(const void *a, const void *b)
{
    return memcmp(((const Ignored *)a)->key, ((const Ignored *)b)->key, EVENT_KEY_BYTES);
}

static Ignored *find(const Core *core, const uint8_t *key)
{
    if (core->ignored_count == 0) {
        return NULL;
    }
    Ignored wanted;
    memcpy(wanted.key, key, EVENT_KEY_BYTES);
    return bsearch(&wanted, core->ignored, core->ignored_count, sizeof(Ignored), compare_keys);
}

bool ignore_has(const Core *core, const uint8_t key[EVENT_KEY_BYTES])
{
    return find(core, key) != NULL;
}

/* False: it is there already, or there are as many as may be. */
static bool add(Core *core, const uint8_t *key, const char *name, size_t name_len)
{
    if (core->ignored_count >= IGNORED_MAX || find(core, key) != NULL) {
        return false;
    }
    core->ignored = mem_resize(core->ignored, core->ignored_count + 1, sizeof(Ignored));
    Ignored *ignored = &core->ignored[core->ignored_count++];
    memcpy(ignored->key, key, EVENT_KEY_BYTES);
    ignored->name = mem_copy_text(name, name_len);
    qsort(core->ignored, core->ignored_count, sizeof(Ignored), compare_keys);
    return true;
}

static void take_out(Core *core, Ignored *ignored)
{
    mem_free(ignored->name);
    size_t behind = core->ignored_count - (size_t)(ignored - core->ignored) - 1;
    memmove(ignored, ignored + 1, behind * sizeof(Ignored));
    core->ignored_count--;
}

void ignore_free(Core *core)
{
    while (core->ignored_count > 0) {
        take_out(core, &core->ignored[core->ignored_count - 1]);
    }
    mem_free(TAKE(core->ignored));
}

/* ---- as text: a key in hex and a name on each line ---- */

static int digit_value(char digit)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = digit != '\0' ? strchr(digits, digit) : NULL;
    return at != NULL ? (int)(at - digits) : -1;
}

static bool parse_key(const char *text, size_t len, uint8_t ret_key[EVENT_KEY_BYTES])
{
    if (len < KEY_DIGITS) {
        return false;
    }
    for (size_t i = 0; i < EVENT_KEY_BYTES; i++) {
        int high = digit_value(text[2 * i]);
        int low = digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_key[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* What is no such line is passed over. */
void ignore_load(Core *core, const char *text, size_t len)
{
    while (len > 0) {
        const char *end = memchr(text, '\n', len);
        size_t line = end != NULL ? (size_t)(end - text) : len;
        uint8_t key[EVENT_KEY_BYTES];
        size_t name_at = KEY_DIGITS + 1;
        if (parse_key(text, line, key)) {
            bool named = line > name_at && line - name_at <= MESSAGE_SENDER_MAX_BYTES;
            (void)add(core, key, text + name_at, named ? line - name_at : 0);
        }
        line += end != NULL ? 1 : 0;
        text += line;
        len -= line;
    }
}

static void keep(Step *step)
{
    const Core *core = step->core;
    StrBuf text = {0};
    strbuf_add_string(&text, "");
    for (size_t i = 0; i < core->ignored_count; i++) {
        const Ignored *ignored = &core->ignored[i];
        for (size_t j = 0; j < EVENT_KEY_BYTES; j++) {
            strbuf_addf(&text, "%02x", ignored->key[j]);
        }
        strbuf_addf(&text, " %s\n", ignored->name);
    }
    step_add(step, ACTION_IGNORED)->text =
        text.text != NULL ? strbuf_take(&text) : mem_copy_string("");
}

/* ---- commands ---- */

static void add_person(StrBuf *out, const uint8_t *key, const char *name)
{
    char print[NAME_FINGERPRINT_BYTES];
    name_fingerprint(key, print);
    strbuf_add_string(out, out->len > 0 ? ", " : "");
    strbuf_addf(out, "%s~%s", name != NULL ? name : "", print);
}

static void tell_all(Step *step)
{
    enum { ROWS_MAX = 100 };
    const Core *core = step->core;
    AUTO_STRBUF StrBuf list = {0};
    for (size_t i = 0; i < core->ignored_count && i < ROWS_MAX; i++) {
        add_person(&list, core->ignored[i].key, core->ignored[i].name);
    }
    step_notice(step, NOTICE_INFO, "%s%s%s",
                list.len > 0 ? "not shown here: "
                             : "nobody's lines are left out here; /ignore WHO "
                               "leaves out somebody's",
                strbuf_text(&list), core->ignored_count > ROWS_MAX ? ", and some more" : "");
}

/* False: not one node, and that is told. */
static bool find_one(Step *step, const char *who, size_t len, uint8_t ret_key[EVENT_KEY_BYTES])
{
    const Core *core = step->core;
    uint8_t keys[FOUND_MAX][EVENT_KEY_BYTES];
    size_t count = names_find(core->names, who, len, keys, FOUND_MAX);
    if (count == 1) {
        memcpy(ret_key, keys[0], EVENT_KEY_BYTES);
        return true;
    }
    if (count == 0) {
        step_notice(step, NOTICE_ERROR,
                    "nobody was heard here by the name or the fingerprint %.*s: /names tells who "
                    "is there",
                    (int)(len < MESSAGE_SENDER_MAX_BYTES ? len : MESSAGE_SENDER_MAX_BYTES), who);
        return false;
    }
    AUTO_STRBUF StrBuf list = {0};
    for (size_t i = 0; i < count && i < FOUND_MAX; i++) {
        add_person(&list, keys[i], names_of(core->names, keys[i]));
    }
    step_notice(step, NOTICE_ERROR, "that could be %zu: %s%s. Name one as it stands here", count,
                list.text, count > FOUND_MAX ? ", ..." : "");
    return false;
}

void ignore_add(Step *step, const char *who, size_t len)
{
    Core *core = step->core;
    uint8_t key[EVENT_KEY_BYTES];
    if (len == 0) {
        tell_all(step);
        return;
    }
    if (!find_one(step, who, len, key)) {
        return;
    }
    if (memcmp(key, core->key, EVENT_KEY_BYTES) == 0) {
        step_notice(step, NOTICE_ERROR, "that is this node itself");
        return;
    }
    const char *name = names_of(core->names, key);
    AUTO_STRBUF StrBuf person = {0};
    add_person(&person, key, name);
    if (ignore_has(core, key)) {
        step_notice(step, NOTICE_INFO, "%s is not shown here already", person.text);
    } else if (!add(core, key, name, strlen(name))) {
        step_notice(step, NOTICE_ERROR, "%d are left out already, as many as may be: /unignore one",
                    IGNORED_MAX);
    } else {
        keep(step);
        step_notice(step, NOTICE_INFO,
                    "nothing of %s is shown here any more; it is kept and passed on as before. "
                    "/unignore %s shows it again",
                    person.text, person.text);
    }
}

static bool is_meant(const Ignored *ignored, const char *who, size_t len)
{
    AUTO_STRBUF StrBuf person = {0};
    add_person(&person, ignored->key, ignored->name);
    bool by_name = strlen(ignored->name) == len && memcmp(ignored->name, who, len) == 0;
    bool by_mark = person.len == len && memcmp(person.text, who, len) == 0;
    return by_name || by_mark || name_fingerprint_begins(ignored->key, who, len);
}

/* Of those that are left out: a name of one that was not heard since is known here alone. */
static Ignored *find_ignored(Step *step, const char *who, size_t len)
{
    Core *core = step->core;
    Ignored *found = NULL;
    for (size_t i = 0; i < core->ignored_count; i++) {
        if (!is_meant(&core->ignored[i], who, len)) {
            continue;
        }
        if (found != NULL) {
            step_notice(step, NOTICE_ERROR,
                        "there are several: name one as /ignore without a name lists them");
            return NULL;
        }
        found = &core->ignored[i];
    }
    uint8_t keys[1][EVENT_KEY_BYTES];
    if (found == NULL && names_find(core->names, who, len, keys, 1) == 1) {
        found = find(core, keys[0]);
    }
    if (found == NULL) {
        step_notice(step, NOTICE_ERROR, "no lines of %.*s are left out; /ignore tells whose are",
                    (int)(len < MESSAGE_SENDER_MAX_BYTES ? len : MESSAGE_SENDER_MAX_BYTES), who);
    }
    return found;
}

void ignore_end(Step *step, const char *who, size_t len)
{
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/unignore WHO: /ignore tells who is left out");
        return;
    }
    Ignored *ignored = find_ignored(step, who, len);
    if (ignored == NULL) {
        return;
    }
    AUTO_STRBUF StrBuf person = {0};
    add_person(&person, ignored->key, ignored->name);
    take_out(step->core, ignored);
    keep(step);
    step_notice(step, NOTICE_INFO, "%s is shown here again", person.text);
}

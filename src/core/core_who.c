/* Who is meant by a name that somebody has typed.
 *
 * People are named by the name with which they were let in, or by their key's fingerprint or its
 * beginning. Names that they give themselves later count only where nothing hangs on it: anybody
 * may take any. */
#include "core/core_state.h"

#include <string.h>

enum {
    FINGERPRINT_DIGITS = 16,
    FINGERPRINT_DIGITS_MIN = 4,
    MATCHES_MAX = 16, /* that are listed where a name is several people's */
};

typedef struct Matches {
    uint8_t keys[MATCHES_MAX][EVENT_KEY_BYTES];
    size_t count; /* may be more than there are keys */
} Matches;

static void add_match(Matches *matches, const uint8_t *key)
{
    for (size_t i = 0; i < matches->count && i < MATCHES_MAX; i++) {
        if (memcmp(matches->keys[i], key, EVENT_KEY_BYTES) == 0) {
            return;
        }
    }
    if (matches->count < MATCHES_MAX) {
        memcpy(matches->keys[matches->count], key, EVENT_KEY_BYTES);
    }
    matches->count++;
}

static bool is_text(const char *name, const char *text, size_t len)
{
    return strlen(name) == len && memcmp(name, text, len) == 0;
}

/* The hex digits of a fingerprint, or of its beginning, without the dashes; 0: it is none. */
static size_t fingerprint_digits(const char *text, size_t len, char ret_digits[FINGERPRINT_DIGITS])
{
    size_t count = 0;
    for (size_t i = 0; i < len; i++) {
        char c = text[i];
        c = c >= 'A' && c <= 'F' ? (char)(c - 'A' + 'a') : c;
        bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (c == '-') {
            continue;
        }
        if (!digit || count == FINGERPRINT_DIGITS) {
            return 0;
        }
        ret_digits[count++] = c;
    }
    return count >= FINGERPRINT_DIGITS_MIN ? count : 0;
}

static bool key_begins_with(const uint8_t *key, const char *digits, size_t count)
{
    char text[FINGERPRINT_BYTES];
    char all[FINGERPRINT_DIGITS] = {0};
    fingerprint_text(key, text);
    (void)fingerprint_digits(text, strlen(text), all);
    return memcmp(all, digits, count) == 0;
}

/* Calls for each key that is known of, until there is none left. */
static const uint8_t *key_at(const Core *core, size_t index)
{
    size_t members = core->members != NULL ? members_count(core->members) : 0;
    if (index < members) {
        return members_at(core->members, index)->key;
    }
    index -= members;
    return index < presences_count(core->presences) ? presences_at(core->presences, index)->key
                                                    : NULL;
}

static void match_names(const Core *core, const char *text, size_t len, Matches *matches)
{
    const uint8_t *key;
    for (size_t i = 0; (key = key_at(core, i)) != NULL; i++) {
        const Member *member = core->members != NULL ? members_find(core->members, key) : NULL;
        if (member != NULL && is_text(network_name(core, key), text, len)) {
            add_match(matches, key);
        }
    }
}

static void match_fingerprints(const Core *core, const char *text, size_t len, Matches *matches)
{
    char digits[FINGERPRINT_DIGITS];
    size_t count = fingerprint_digits(text, len, digits);
    const uint8_t *key;
    for (size_t i = 0; count > 0 && (key = key_at(core, i)) != NULL; i++) {
        if (key_begins_with(key, digits, count)) {
            add_match(matches, key);
        }
    }
}

static void match_nicknames(const Core *core, const char *text, size_t len, Matches *matches)
{
    for (size_t i = 0; i < presences_count(core->presences); i++) {
        const FramePresence *presence = presences_at(core->presences, i);
        if (is_text(presence->name, text, len)) {
            add_match(matches, presence->key);
        }
    }
}

static void tell_matches(Step *step, const Matches *matches, const char *text, size_t len)
{
    AUTO_STRBUF StrBuf list = {0};
    for (size_t i = 0; i < matches->count && i < MATCHES_MAX; i++) {
        strbuf_add_string(&list, i > 0 ? ", " : "");
        network_add_name(step->core, &list, matches->keys[i]);
    }
    step_notice(step, NOTICE_ERROR, "%.*s may be any of %zu: %s%s. Say which by the fingerprint",
                (int)len, text, matches->count, list.text,
                matches->count > MATCHES_MAX ? ", ..." : "");
}

bool network_find_who(Step *step, const char *text, size_t len, bool loosely,
                      uint8_t ret_key[EVENT_KEY_BYTES])
{
    const Core *core = step->core;
    Matches matches = {.count = 0};
    len = len < MEMBER_NAME_MAX_BYTES ? len : MEMBER_NAME_MAX_BYTES;
    match_names(core, text, len, &matches);
    if (matches.count == 0) {
        match_fingerprints(core, text, len, &matches);
    }
    if (matches.count == 0 && loosely) {
        match_nicknames(core, text, len, &matches);
    }
    if (matches.count == 0) {
        step_notice(step, NOTICE_ERROR, "nobody known is called %.*s: %s", (int)len, text,
                    core->members != NULL ? "/members lists names and fingerprints"
                                          : "/names lists who is here");
        return false;
    }
    if (matches.count > 1) {
        tell_matches(step, &matches, text, len);
        return false;
    }
    memcpy(ret_key, matches.keys[0], EVENT_KEY_BYTES);
    return true;
}

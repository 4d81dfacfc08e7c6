/* Commands about who is in: /invite, /members, /revoke, /ban, /whois, /id. */
#include "base/moment.h"
#include "core/core_state.h"
#include "core/invite.h"

#include <stdio.h>
#include <string.h>

enum {
    INVITE_HOURS = 24,
    INVITE_HOURS_MAX = 720, /* a month */
    MEMBER_ROWS_MAX = 500,  /* of /members */
};

static bool same_key(const uint8_t *a, const uint8_t *b)
{
    return memcmp(a, b, EVENT_KEY_BYTES) == 0;
}

/* False, and said, where there is no network. */
static bool is_private(Step *step)
{
    if (step->core->members == NULL) {
        step_notice(step, NOTICE_ERROR,
                    "this node is in no network: \"chat_node init NAME\" makes one, \"chat_node "
                    "join LINE\" enters one");
    }
    return step->core->members != NULL;
}

/* ---- /invite ---- */

/* Takes the first word off. */
static size_t next_word(const char **rest, size_t *len)
{
    while (*len > 0 && **rest == ' ') {
        (*rest)++;
        (*len)--;
    }
    const char *space = *len > 0 ? memchr(*rest, ' ', *len) : NULL;
    return space != NULL ? (size_t)(space - *rest) : *len;
}

static bool is_number(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    return len > 0;
}

/* False where they are out of range. */
static bool parse_hours(const char *text, size_t len, unsigned *ret_hours)
{
    unsigned hours = 0;
    for (size_t i = 0; i < len && hours <= INVITE_HOURS_MAX; i++) {
        hours = 10 * hours + (unsigned)(text[i] - '0');
    }
    *ret_hours = hours;
    return hours >= 1 && hours <= INVITE_HOURS_MAX;
}

/* The addresses, with a space between them. */
static bool parse_addresses(const char *rest, size_t len, StrBuf *out)
{
    size_t count = 0;
    size_t word;
    while ((word = next_word(&rest, &len)) > 0) {
        char host[INVITE_ADDRESS_MAX_BYTES + 1];
        uint16_t port = 0;
        AUTO_FREE char *address = mem_copy_text(rest, word);
        if (++count > INVITE_ADDRESSES_MAX || address_split(address, host, &port) != ERR_OK) {
            return false;
        }
        strbuf_add_string(out, count > 1 ? " " : "");
        strbuf_add_string(out, address);
        rest += word;
        len -= word;
    }
    return true;
}

void network_invite(Step *step, const char *rest, size_t len)
{
    const Core *core = step->core;
    const char *reason = "";
    unsigned hours = INVITE_HOURS;
    AUTO_STRBUF StrBuf addresses = {0};
    if (!is_private(step)) {
        return;
    }
    if (!members_may_invite(core->members, core->key, &reason)) {
        step_notice(step, NOTICE_ERROR, "no invitation was made: %s", reason);
        return;
    }
    size_t word = next_word(&rest, &len);
    if (is_number(rest, word)) {
        if (!parse_hours(rest, word, &hours)) {
            step_notice(step, NOTICE_ERROR,
                        "/invite HOURS: an invitation is good for 1 to %d hours", INVITE_HOURS_MAX);
            return;
        }
        rest += word;
        len -= word;
    }
    if (!parse_addresses(rest, len, &addresses)) {
        step_notice(step, NOTICE_ERROR,
                    "/invite [HOURS] [HOST:PORT...]: where this node can be reached, at most %d "
                    "addresses, as chat.example.org:50051 or [2001:db8::1]:50051",
                    INVITE_ADDRESSES_MAX);
        return;
    }
    Action *action = step_add(step, ACTION_INVITE);
    action->token = step->replies ? step->token : NULL;
    action->hours = hours;
    action->text = mem_copy_string(strbuf_text(&addresses));
}

/* ---- /members, /whois, /id ---- */

/* "2026-11-21 16:00", in this node's zone. */
static void add_moment(StrBuf *out, const Step *step, int64_t time_ms)
{
    enum { DATE_BYTES = sizeof("2026-11-21") - 1, CLOCK_BYTES = sizeof("16:00") - 1 };
    char text[MOMENT_TEXT_BYTES];
    moment_text(time_ms + INT64_C(1000) * step->event->utc_offset_s, text);
    strbuf_addf(out, "%.*s %.*s", DATE_BYTES, text, CLOCK_BYTES, text + DATE_BYTES + 1);
}

static const char *whereabouts(const Core *core, const uint8_t *key)
{
    if (same_key(key, core->key)) {
        return "this node";
    }
    if (mesh_is_linked(core, key)) {
        return "linked";
    }
    return presence_of(core, key) != NULL ? "here" : "away";
}

/* "let in by ann (...) on 2026-11-21 16:00". */
static void add_origin(StrBuf *out, const Step *step, const Member *member)
{
    static const uint8_t nobody[EVENT_KEY_BYTES];
    const Core *core = step->core;
    if (same_key(member->key, members_founder(core->members))) {
        strbuf_add_string(out, "the founder, on ");
    } else if (same_key(member->inviter, nobody)) {
        strbuf_add_string(out, "by whom it was let in is not known");
        return;
    } else {
        const char *name = network_name(core, member->inviter);
        strbuf_add_string(out, "let in by ");
        if (name[0] != '\0') {
            strbuf_add_string(out, name);
        } else {
            network_add_name(core, out, member->inviter);
        }
        strbuf_add_string(out, " on ");
    }
    add_moment(out, step, member->since_ms);
}

static void tell_member(Step *step, const Member *member)
{
    const Core *core = step->core;
    char fingerprint[FINGERPRINT_BYTES];
    AUTO_STRBUF StrBuf row = {0};
    const char *name = network_name(core, member->key);
    fingerprint_text(member->key, fingerprint);
    strbuf_addf(&row, "%s  %s  ", name[0] != '\0' ? name : "(no name)", fingerprint);
    add_origin(&row, step, member);
    strbuf_addf(&row, "  %s", member->revoked ? "removed" : whereabouts(core, member->key));
    step_notice(step, NOTICE_INFO, "%s", row.text);
}

void network_members(Step *step)
{
    if (!is_private(step)) {
        return;
    }
    const Members *members = step->core->members;
    size_t count = members_count(members);
    size_t good = 0;
    for (size_t i = 0; i < count; i++) {
        const Member *member = members_at(members, i);
        good += !member->revoked;
        if (i < MEMBER_ROWS_MAX) {
            tell_member(step, member);
        }
    }
    if (count > MEMBER_ROWS_MAX) {
        step_notice(step, NOTICE_INFO, "... and %zu more: /whois NAME tells of one",
                    count - MEMBER_ROWS_MAX);
    }
    step_notice(step, NOTICE_INFO, "%s has %zu %s", members_network_name(members), good,
                good == 1 ? "member" : "members");
}

static void add_hex(StrBuf *out, const uint8_t *key)
{
    for (size_t i = 0; i < EVENT_KEY_BYTES; i++) {
        strbuf_addf(out, "%02x", key[i]);
    }
}

static void tell_key(Step *step, const uint8_t *key)
{
    char fingerprint[FINGERPRINT_BYTES];
    AUTO_STRBUF StrBuf hex = {0};
    fingerprint_text(key, fingerprint);
    add_hex(&hex, key);
    step_notice(step, NOTICE_INFO, "fingerprint %s, key %s", fingerprint, hex.text);
}

static void tell_addresses(Step *step, const Member *member)
{
    AUTO_STRBUF StrBuf list = {0};
    for (size_t i = 0; i < member->addresses_count; i++) {
        strbuf_add_string(&list, i > 0 ? ", " : "");
        strbuf_add_string(&list, member->addresses[i]);
    }
    if (list.len > 0) {
        step_notice(step, NOTICE_INFO, "was seen at %s when it was let in", list.text);
    }
}

static void whois_member(Step *step, const Member *member)
{
    const Core *core = step->core;
    AUTO_STRBUF StrBuf origin = {0};
    const FramePresence *presence = presence_of(core, member->key);
    const char *name = network_name(core, member->key);
    add_origin(&origin, step, member);
    step_notice(step, NOTICE_INFO, "%s: %s; %s", name[0] != '\0' ? name : "(no name)", origin.text,
                member->revoked ? "removed" : whereabouts(core, member->key));
    if (presence != NULL && strcmp(presence->name, name) != 0) {
        step_notice(step, NOTICE_INFO, "calls itself %s now", presence->name);
    }
    tell_key(step, member->key);
    tell_addresses(step, member);
}

void network_whois(Step *step, const char *rest, size_t len)
{
    const Core *core = step->core;
    uint8_t key[EVENT_KEY_BYTES];
    memcpy(key, core->key, EVENT_KEY_BYTES);
    if (len > 0 && !network_find_who(step, rest, len, true, key)) {
        return;
    }
    const Member *member = core->members != NULL ? members_find(core->members, key) : NULL;
    if (member != NULL) {
        whois_member(step, member);
        return;
    }
    const char *name = network_name(core, key);
    step_notice(step, NOTICE_INFO, "%s: %s%s", name[0] != '\0' ? name : "(no name)",
                whereabouts(core, key),
                core->members != NULL      ? "; no member"
                : same_key(key, core->key) ? ""
                                           : "; outside a private network nobody proves a key");
    tell_key(step, key);
}

void network_id(Step *step)
{
    const Core *core = step->core;
    if (core->members == NULL) {
        step_notice(step, NOTICE_INFO, "you are %s, in no private network", core->name);
    } else {
        AUTO_STRBUF StrBuf founder = {0};
        network_add_name(core, &founder, members_founder(core->members));
        step_notice(step, NOTICE_INFO, "you are %s%s %s; its founder is %s", core->name,
                    network_is_in(core) ? ", in" : ", and no member any more of",
                    members_network_name(core->members), founder.text);
    }
    tell_key(step, core->key);
}

/* ---- /revoke, /ban ---- */

/* False, and said, where this node is not the founder's. */
static bool is_founder(Step *step)
{
    const Core *core = step->core;
    if (!is_private(step)) {
        return false;
    }
    if (!same_key(core->key, members_founder(core->members))) {
        AUTO_STRBUF StrBuf founder = {0};
        network_add_name(core, &founder, members_founder(core->members));
        step_notice(step, NOTICE_ERROR, "only the founder can remove members: ask %s",
                    founder.text);
        return false;
    }
    return true;
}

/* Takes over the bodies; says them unless something before them was not said (err). */
static Err say_bodies(Step *step, Err err, LogKind kind, Bytes **bodies, size_t count,
                      const char **ret_reason)
{
    for (size_t i = 0; i < count; i++) {
        LogLine line = {.fields = network_fields(step->core, kind, bodies[i]), .more = true};
        err = err == ERR_OK ? log_say(step, &line, ret_reason) : err;
        bytes_unref(bodies[i]);
    }
    mem_free(bodies);
    return err;
}

/* Whom that one had let in, and who are members by the founder's word now. */
static void tell_who_stays(Step *step, const uint8_t *key, size_t adopted)
{
    const Core *core = step->core;
    size_t count = adopted;
    for (size_t i = 0; i < members_count(core->members); i++) {
        const Member *member = members_at(core->members, i);
        count += member->is_adopted && !member->revoked && same_key(member->inviter, key);
    }
    if (count > 0) {
        AUTO_STRBUF StrBuf who = {0};
        network_add_name(core, &who, key);
        step_notice(step, NOTICE_INFO,
                    "%zu whom %s had let in %s: /members lists them, and each can be removed too",
                    count, who.text, count == 1 ? "stays a member" : "stay members");
    }
}

static Err say_revocation(Step *step, const uint8_t *key, const MemberCut *cuts, size_t count,
                          size_t *ret_adopted, const char **ret_reason)
{
    const uint8_t id[8] = {
        (uint8_t)step->event->random,         (uint8_t)(step->event->random >> 8),
        (uint8_t)(step->event->random >> 16), (uint8_t)(step->event->random >> 24),
        (uint8_t)(step->event->random >> 32), (uint8_t)(step->event->random >> 40),
        (uint8_t)(step->event->random >> 48), (uint8_t)(step->event->random >> 56),
    };
    const Core *core = step->core;
    Bytes **parts = NULL;
    Bytes **adopted = NULL;
    size_t parts_count = 0;
    *ret_reason = "it has written more streams than one revocation can name: /ban it";
    Err err = revocation_new(key, id, cuts, count, &parts, &parts_count);
    members_adopt(core->members, &core->signer, key, cuts, count, &adopted, ret_adopted);
    err = say_bodies(step, err, LOG_MEMBER, adopted, *ret_adopted, ret_reason);
    err = say_bodies(step, err, LOG_REVOKE, parts, parts_count, ret_reason);
    log_input(step, (ReplicaInput){.kind = REPLICA_SAID});
    return err;
}

static void remove_member(Step *step, const uint8_t *key, const MemberCut *cuts, size_t count)
{
    size_t adopted = 0;
    const char *reason = "";
    if (say_revocation(step, key, cuts, count, &adopted, &reason) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "nobody was removed: %s", reason);
        return;
    }
    tell_who_stays(step, key, adopted);
    if (step->replies) { /* at the terminal it is told when it counts */
        AUTO_STRBUF StrBuf who = {0};
        network_add_name(step->core, &who, key);
        step_notice(step, NOTICE_INFO,
                    "%s is removed as soon as that is on the disk here, and at "
                    "other nodes when they hear of it",
                    who.text);
    }
}

bool network_revoke_again(Step *step, const uint8_t *key)
{
    size_t count = 0;
    size_t adopted = 0;
    const char *reason = "";
    const MemberCut *cuts = members_cuts(step->core->members, key, &count);
    AUTO_FREE MemberCut *copy = mem_array(count, sizeof(MemberCut));
    if (count > 0) {
        memcpy(copy, cuts, count * sizeof(MemberCut));
    }
    return say_revocation(step, key, copy, count, &adopted, &reason) == ERR_OK;
}

static bool is_named(const MemberCut *cuts, size_t count, uint64_t epoch)
{
    for (size_t i = 0; i < count; i++) {
        if (cuts[i].epoch == epoch) {
            return true;
        }
    }
    return false;
}

/* The streams of the key that are known here and not among the cuts, as those of which nothing
 * counts, as far as there is room. cuts has room for all streams. */
static size_t name_others(const Core *core, const uint8_t *key, MemberCut *cuts, size_t count)
{
    size_t streams = replica_streams_count(core->replica);
    size_t named = count;
    for (size_t i = 0; i < streams && named < REVOCATION_PARTS_MAX * REVOCATION_CUTS_MAX; i++) {
        const StreamId *stream = replica_stream_at(core->replica, i);
        if (same_key(stream->origin, key) && !is_named(cuts, count, stream->epoch)) {
            cuts[named++] = (MemberCut){.epoch = stream->epoch};
        }
    }
    return named;
}

/* All that this node has of it stays. */
static void revoke_from_now(Step *step, const uint8_t *key)
{
    const Core *core = step->core;
    size_t streams = replica_streams_count(core->replica);
    AUTO_FREE MemberCut *cuts = mem_array(streams, sizeof(MemberCut));
    size_t count = 0;
    for (size_t i = 0; i < streams; i++) {
        StreamHead head;
        const StreamId *stream = replica_stream_at(core->replica, i);
        if (same_key(stream->origin, key) && replica_head(core->replica, stream, &head)) {
            cuts[count++] =
                (MemberCut){.epoch = head.stream.epoch, .seq = head.hi, .hash = head.last_hash};
        }
    }
    remove_member(step, key, cuts, name_others(core, key, cuts, count));
}

static void revoke_since(Step *step, const uint8_t *key, int64_t since_ms)
{
    Query *query = history_query(step, QUERY_CUTS, "");
    memcpy(query->stream.origin, key, EVENT_KEY_BYTES);
    query->since_hlc = since_ms > 0 ? (uint64_t)since_ms << HLC_COUNTER_BITS : 0;
    query->replies = step->replies;
    query->token = step->replies ? step->token : NULL;
    step->replies_later = step->replies;
}

void network_answer_cuts(Step *step)
{
    const Event *event = step->event;
    const Query *query = event->query;
    step->replies = query->replies;
    step->token = query->token;
    if (event->text != NULL) {
        step_notice(step, NOTICE_ERROR, "nobody was removed: the log could not be read: %s",
                    event->text);
    } else {
        const Core *core = step->core;
        const uint8_t *key = query->stream.origin;
        AUTO_FREE MemberCut *cuts = mem_array(
            event->events_count + replica_streams_count(core->replica), sizeof(MemberCut));
        for (size_t i = 0; i < event->events_count; i++) {
            const LogEvent *last = event->events[i];
            cuts[i] = (MemberCut){
                .epoch = last->fields.stream.epoch, .seq = last->fields.seq, .hash = last->hash};
        }
        remove_member(step, key, cuts, name_others(core, key, cuts, event->events_count));
    }
    if (step->replies) {
        command_replied(step);
    }
}

/* Where " since " stands last; len: nowhere. */
static size_t find_since(const char *rest, size_t len)
{
    static const char since[] = " since ";
    const size_t since_len = sizeof(since) - 1;
    for (size_t at = len; at > since_len; at--) {
        if (memcmp(rest + at - since_len, since, since_len) == 0) {
            return at - since_len;
        }
    }
    return len;
}

/* False, and said, where that one cannot be removed. */
static bool find_removable(Step *step, const char *text, size_t len, uint8_t *ret_key)
{
    if (!network_find_who(step, text, len, false, ret_key)) {
        return false;
    }
    if (same_key(ret_key, step->core->key)) {
        step_notice(step, NOTICE_ERROR, "the founder cannot be removed: the network is yours");
        return false;
    }
    return true;
}

void network_revoke(Step *step, const char *rest, size_t len)
{
    static const char since[] = " since ";
    const Event *event = step->event;
    uint8_t key[EVENT_KEY_BYTES];
    if (!is_founder(step)) {
        return;
    }
    size_t who_len = find_since(rest, len);
    int64_t since_ms = 0;
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/revoke WHO [since TIME]: /members lists who there is");
        return;
    }
    if (who_len < len &&
        moment_parse(rest + who_len + sizeof(since) - 1, len - who_len - sizeof(since) + 1,
                     event->wall_ms, event->utc_offset_s, &since_ms) != ERR_OK) {
        step_notice(step, NOTICE_ERROR, "/revoke WHO since TIME: a time is %s", MOMENT_FORMS);
        return;
    }
    if (!find_removable(step, rest, who_len, key)) {
        return;
    }
    if (who_len < len) {
        revoke_since(step, key, since_ms);
    } else if (members_state(step->core->members, key) == MEMBER_REVOKED) {
        step_notice(step, NOTICE_ERROR,
                    "%.*s was removed already: /revoke WHO since TIME takes back more of what was "
                    "said, /ban WHO all of it",
                    (int)len, rest);
    } else {
        revoke_from_now(step, key);
    }
}

void network_ban(Step *step, const char *rest, size_t len)
{
    uint8_t key[EVENT_KEY_BYTES];
    if (!is_founder(step)) {
        return;
    }
    if (len == 0) {
        step_notice(step, NOTICE_ERROR, "/ban WHO: /members lists who there is");
    } else if (find_removable(step, rest, len, key)) {
        const Core *core = step->core;
        AUTO_FREE MemberCut *cuts =
            mem_array(replica_streams_count(core->replica), sizeof(MemberCut));
        remove_member(step, key, cuts, name_others(core, key, cuts, 0));
    }
}

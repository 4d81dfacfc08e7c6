/* The private network inside the core: who may link, and what follows when that changes.
 *
 *   EVENT_KNOCK --> a proof is good? --> LET_IN, TURN_AWAY
 *   EVENT_ADMIT --> MEMBER event --> durable --> WELCOME
 *   APPLY of MEMBER, REVOKE --> members --> (the step is over) --> the replica, links, CUT_KEY */
#include "core/core_state.h"

#include "core/invite.h"

#include <assert.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

/* ---- life ---- */

static void note_founder_name(Core *core, const EventFields *fields)
{
    bool by_founder =
        memcmp(fields->stream.origin, members_founder(core->members), EVENT_KEY_BYTES) == 0;
    if (by_founder && fields->sender_len < sizeof(core->founder_name)) {
        memcpy(core->founder_name, fields->sender, fields->sender_len);
        core->founder_name[fields->sender_len] = '\0';
    }
}

void network_open(Core *core, const CoreConfig *config)
{
    const char *reason = "";
    Err err = members_new(config->genesis, config->genesis_len, &core->members, &reason);
    assert(err == ERR_OK);
    core->signer = config->signer;
    core->told_state = MEMBER_GOOD;
    core->proof =
        bytes_new(config->proof_len > 0 ? config->proof : (const uint8_t *)"", config->proof_len);
    for (size_t i = 0; i < config->control_count; i++) {
        const LogEvent *event = config->control_events[i];
        if (event->fields.kind == LOG_MEMBER || event->fields.kind == LOG_REVOKE) {
            members_take(core->members, event);
            note_founder_name(core, &event->fields);
        }
    }
    /* Where it is bad, this node is no member, and says so at its start. */
    err = members_take_proof(core->members, core->key, config->proof, config->proof_len, &reason);
    const Member *own = err == ERR_OK ? members_find(core->members, core->key) : NULL;
    if (config->name_is_default && own != NULL && own->name[0] != '\0') {
        snprintf(core->name, sizeof(core->name), "%s", own->name);
    }
}

void network_close(Core *core)
{
    members_free(core->members);
    mem_free(core->members_before);
    bytes_unref(core->proof);
    event_signer_done(&core->signer);
}

bool network_counts(const Core *core, const uint8_t *key)
{
    return core->members == NULL || members_state(core->members, key) == MEMBER_GOOD;
}

bool network_is_in(const Core *core)
{
    return network_counts(core, core->key);
}

static MemberState own_state(const Core *core)
{
    return core->members != NULL ? members_state(core->members, core->key) : MEMBER_GOOD;
}

bool network_is_removed(const Core *core)
{
    return own_state(core) == MEMBER_REVOKED;
}

const char *network_why_out(const Core *core)
{
    return network_is_removed(core)
               ? "this node was removed from its network: nothing that is said here counts"
               : "nothing here says that this node is a member of its network: nothing that is "
                 "said here counts";
}

/* ---- names ---- */

const char *network_name(const Core *core, const uint8_t *key)
{
    const Member *member = core->members != NULL ? members_find(core->members, key) : NULL;
    const FramePresence *presence = presence_of(core, key);
    if (member != NULL && member->name[0] != '\0') {
        return member->name;
    }
    if (memcmp(key, core->key, EVENT_KEY_BYTES) == 0) {
        return core->name;
    }
    if (presence != NULL) {
        return presence->name;
    }
    bool founder =
        core->members != NULL && memcmp(key, members_founder(core->members), EVENT_KEY_BYTES) == 0;
    return founder ? core->founder_name : "";
}

void network_add_name(const Core *core, StrBuf *out, const uint8_t *key)
{
    char fingerprint[FINGERPRINT_BYTES];
    const char *name = network_name(core, key);
    fingerprint_text(key, fingerprint);
    if (name[0] != '\0') {
        strbuf_addf(out, "%s (%s)", name, fingerprint);
    } else {
        strbuf_add_string(out, fingerprint);
    }
}

/* ---- what is applied ---- */

/* A revocation may take more than one: who was in is remembered until the step is over. */
static void remember_members(Core *core)
{
    if (core->members_before != NULL) {
        return;
    }
    size_t count = members_count(core->members);
    core->members_before = mem_array(count, sizeof(FormerMember));
    core->members_before_count = 0;
    for (size_t i = 0; i < count; i++) {
        const Member *member = members_at(core->members, i);
        if (!member->revoked) {
            FormerMember *before = &core->members_before[core->members_before_count++];
            memcpy(before->key, member->key, EVENT_KEY_BYTES);
            memcpy(before->name, member->name, sizeof(before->name));
        }
    }
}

static void tell_let_in(Step *step, const EventFields *fields, const uint8_t *key)
{
    Core *core = step->core;
    AUTO_STRBUF StrBuf who = {0};
    if (hlc_time_ms(fields->hlc) + MISSED_MS < step->event->wall_ms) {
        core->let_in_before++;
        return;
    }
    network_add_name(core, &who, key);
    const Member *member = members_find(core->members, key);
    const char *by = network_name(core, member != NULL ? member->inviter : fields->stream.origin);
    step_notice(step, NOTICE_INFO, "%s let in %s", by[0] != '\0' ? by : "somebody", who.text);
}

/* What revocations have cut off of a key's streams, those that nobody here ever held among them,
 * is not to be waited for. */
static void cut_causes(Step *step, const uint8_t *key)
{
    size_t count = 0;
    const MemberCut *cuts = members_cuts(step->core->members, key, &count);
    for (size_t i = 0; i < count; i++) {
        StreamId stream = {.epoch = cuts[i].epoch};
        memcpy(stream.origin, key, EVENT_KEY_BYTES);
        log_cut(step, &stream);
    }
}

/* Is anything left of what was said there, here or elsewhere? */
static bool some_stays(const Core *core, const uint8_t *key)
{
    size_t count = 0;
    const MemberCut *cuts = members_cuts(core->members, key, &count);
    bool stays = false;
    for (size_t i = 0; i < count && !stays; i++) {
        stays = cuts[i].seq > 0;
    }
    return stays;
}

static void tell_removed(Step *step, const EventFields *fields, const uint8_t *key)
{
    const Core *core = step->core;
    AUTO_STRBUF StrBuf who = {0};
    network_add_name(core, &who, key);
    const char *by = network_name(core, fields->stream.origin);
    step_notice(step, NOTICE_WARNING, "%s removed %s: %s", by[0] != '\0' ? by : "the founder",
                who.text,
                some_stays(core, key) ? "what was said there until then stays, nothing after it "
                                        "counts"
                                      : "nothing that was said there counts");
}

static void apply_one(Step *step, const LogEvent *event)
{
    Core *core = step->core;
    const EventFields *fields = &event->fields;
    uint8_t key[EVENT_KEY_BYTES];
    if (!members_about(core->members, event, key)) {
        return;
    }
    MemberState before = members_state(core->members, key);
    if (fields->kind == LOG_REVOKE) {
        remember_members(core);
    }
    note_founder_name(core, fields);
    if (!members_take(core->members, event)) {
        return;
    }
    core->members_changed = true;
    MemberState now = members_state(core->members, key);
    if (now == MEMBER_GOOD && before != MEMBER_GOOD) {
        tell_let_in(step, fields, key);
    } else if (now == MEMBER_REVOKED && fields->kind == LOG_REVOKE) {
        tell_removed(step, fields, key);
        cut_causes(step, key);
    }
}

void network_applied(Step *step, LogEvent *const *events, size_t count)
{
    for (size_t i = 0; i < count && step->core->members != NULL; i++) {
        int kind = events[i]->fields.kind;
        if (kind == LOG_MEMBER || kind == LOG_REVOKE) {
            apply_one(step, events[i]);
        }
    }
}

EventFields network_fields(const Core *core, LogKind kind, const Bytes *body)
{
    return (EventFields){.room = NETWORK_ROOM,
                         .room_len = sizeof(NETWORK_ROOM) - 1,
                         .kind = (int)kind,
                         .sender = core->name,
                         .sender_len = strlen(core->name),
                         .body = bytes_data(body),
                         .body_len = bytes_len(body)};
}

/* ---- what follows ---- */

static void cut_key(Step *step, const FormerMember *member)
{
    Core *core = step->core;
    char fingerprint[FINGERPRINT_BYTES];
    AUTO_STRBUF StrBuf reason = {0};
    fingerprint_text(member->key, fingerprint);
    strbuf_addf(&reason, "%s (%s) was removed from this network", member->name, fingerprint);
    if (members_state(core->members, member->key) == MEMBER_NONE) {
        step_notice(step, NOTICE_WARNING,
                    "%s (%s) is no member any more: who let it in was removed, and that invitation "
                    "does not count. Another member may invite it again",
                    member->name, fingerprint);
    }
    mesh_close_key(step, member->key, reason.text);
    presences_end(core->presences, member->key, step->event->mono_ms);
    memcpy(step_add(step, ACTION_CUT_KEY)->key, member->key, EVENT_KEY_BYTES);
}

static void cut_who_went(Step *step)
{
    Core *core = step->core;
    AUTO_FREE FormerMember *before = TAKE(core->members_before);
    size_t count = before != NULL ? core->members_before_count : 0;
    for (size_t i = 0; i < count; i++) {
        bool own = memcmp(before[i].key, core->key, EVENT_KEY_BYTES) == 0;
        if (!own && !network_counts(core, before[i].key)) {
            cut_key(step, &before[i]);
        }
    }
}

static void tell_own_state(Step *step, MemberState state)
{
    Core *core = step->core;
    const char *network = members_network_name(core->members);
    switch (state) {
    case MEMBER_REVOKED:
        step_notice(step, NOTICE_ERROR,
                    "this node is no member of %s any more: it links with nobody, and takes no new "
                    "lines. What it has can still be read. To come back, be invited again, with a "
                    "new data directory",
                    network);
        return;
    case MEMBER_NONE:
        step_notice(step, NOTICE_ERROR,
                    "nothing here says that this node is a member of %s: who has let it in was "
                    "removed. It takes no new lines. Others may know more, and are asked; if they "
                    "turn it away, be invited again: chat_node join LINE, in this data directory",
                    network);
        return;
    case MEMBER_GOOD:
        step_notice(step, NOTICE_INFO, "this node is a member of %s: new lines are taken again",
                    network);
        return;
    }
}

/* Who is removed links with nobody. Who is just not known to be a member may be known to others,
 * who decide whether they link with it: what it lacks may be with them (its log was lost, and the
 * founder's part of it came first), or somebody has let it in again. */
static void leave_if_removed(Step *step)
{
    Core *core = step->core;
    MemberState state = own_state(core);
    if (core->members != NULL && state != core->told_state) {
        core->told_state = state;
        tell_own_state(step, state);
    }
    if (state == MEMBER_REVOKED) {
        mesh_close_all(step, MESH_BYE_REMOVED);
    }
}

/* By what is known now. Where somebody in the chain by which it came in was removed since, and the
 * founder answers for this node, or another has let it in again, that is what counts at doors which
 * know of the removal alone. */
static void renew_proof(Step *step)
{
    Core *core = step->core;
    Bytes *proof = core->members != NULL ? members_proof(core->members, core->key) : NULL;
    if (proof == NULL ||
        (bytes_len(proof) == bytes_len(core->proof) &&
         memcmp(bytes_data(proof), bytes_data(core->proof), bytes_len(proof)) == 0)) {
        bytes_unref(proof);
        return;
    }
    bytes_unref(core->proof);
    core->proof = proof;
    step_add(step, ACTION_PROOF)->frame = bytes_ref(proof);
}

void network_begin(Step *step)
{
    const Members *members = step->core->members;
    for (size_t i = 0; members != NULL && i < members_count(members); i++) {
        cut_causes(step, members_at(members, i)->key);
    }
    if (members != NULL) {
        log_input(step, (ReplicaInput){.kind = REPLICA_TIMER}); /* before the disk is asked */
    }
    leave_if_removed(step);
    renew_proof(step);
}

void network_settle(Step *step)
{
    Core *core = step->core;
    while (core->members_changed) {
        core->members_changed = false;
        names_take_members(core);
        cut_who_went(step);
        leave_if_removed(step);
        renew_proof(step);
        log_input(step, (ReplicaInput){.kind = REPLICA_MEMBERS});
        network_witness_later(step);
    }
    if (core->let_in_before > 0) {
        step_notice(step, NOTICE_INFO, "%zu %s let in while this node was away: /members lists all",
                    core->let_in_before, core->let_in_before == 1 ? "member was" : "members were");
        core->let_in_before = 0;
    }
    if (core->members_before != NULL) { /* of a revocation that has changed nothing */
        mem_free(TAKE(core->members_before));
    }
}

/* ---- at the door ---- */

void network_turn_away(Step *step, void *token, const char *text)
{
    Action *action = step_add(step, ACTION_TURN_AWAY);
    action->token = token;
    action->text = mem_copy_string(text);
}

/* Why nobody may come in now; NULL: they may. */
static const char *is_closed(const Core *core)
{
    if (core->members == NULL) {
        return "this node is in no network";
    }
    if (core->leaving) {
        return MESH_BYE_LEAVING;
    }
    return network_is_removed(core) ? MESH_BYE_REMOVED : NULL;
}

void network_knock(Step *step)
{
    Core *core = step->core;
    const Event *event = step->event;
    const char *reason = is_closed(core);
    if (reason != NULL) {
        network_turn_away(step, event->token, reason);
        return;
    }
    bool news = !network_counts(core, event->key);
    if (members_take_proof(core->members, event->key, event->data, event->len, &reason) != ERR_OK) {
        network_turn_away(step, event->token, reason);
        return;
    }
    core->members_changed = core->members_changed || news;
    step_add(step, ACTION_LET_IN)->token = event->token;
}

void network_welcome(Step *step, void *token, const uint8_t *key)
{
    Bytes *proof = members_proof(step->core->members, key);
    if (proof == NULL) { /* within the same moment */
        network_turn_away(step, token, "it was removed from this network");
        return;
    }
    Action *action = step_add(step, ACTION_WELCOME);
    action->token = token;
    action->frame = proof;
}

/* Why that newcomer may not come in; NULL: it may. */
static const char *check_newcomer(const Core *core, const uint8_t *key, const char *name)
{
    const char *reason = is_closed(core);
    if (reason != NULL) {
        return reason;
    }
    switch (members_state(core->members, key)) {
    case MEMBER_REVOKED:
        return "its key was removed from this network, for good: join with a new data directory, "
               "which makes a new key";
    case MEMBER_GOOD:
        return NULL;
    case MEMBER_NONE:
        break;
    }
    if (message_check_name(name, strlen(name), &reason) != ERR_OK ||
        !members_may_invite(core->members, core->key, &reason)) {
        return reason;
    }
    return NULL;
}

/* Says that it is a member. */
static Err say_membership(Step *step, const char **ret_reason)
{
    const Core *core = step->core;
    const Event *event = step->event;
    char host[INVITE_ADDRESS_MAX_BYTES + 1];
    uint16_t port = 0;
    bool has_address = event->text != NULL && address_split(event->text, host, &port) == ERR_OK;
    Bytes *body = membership_new(core->members, &core->signer, event->key, event->peer_name,
                                 &event->text, has_address, event->wall_ms);
    LogLine line = {
        .fields = network_fields(core, LOG_MEMBER, body),
        .token = event->token,
        .newcomer = event->key,
    };
    Err err = log_say(step, &line, ret_reason);
    bytes_unref(body);
    return err;
}

void network_admit(Step *step)
{
    const Core *core = step->core;
    const Event *event = step->event;
    const char *reason =
        check_newcomer(core, event->key, event->peer_name != NULL ? event->peer_name : "");
    if (reason == NULL && network_counts(core, event->key)) {
        network_welcome(step, event->token, event->key);
    } else if (reason != NULL || say_membership(step, &reason) != ERR_OK) {
        network_turn_away(step, event->token, reason);
    }
}

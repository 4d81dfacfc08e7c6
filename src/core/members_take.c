/* What becomes known of who is in: memberships and revocations, of events and of what is shown at
 * the door. */
#include "core/members_state.h"

#include "core/proto_arena.h"

#include <chat.pb-c.h>
#include <string.h>
#include <utlist.h>

/* ---- persons and claims ---- */

Person *person_find(const Roll *roll, const uint8_t key[EVENT_KEY_BYTES])
{
    Person *person;
    HASH_FIND(hh, roll->persons, key, EVENT_KEY_BYTES, person);
    return person;
}

Person *person_get(Roll *roll, const uint8_t key[EVENT_KEY_BYTES])
{
    Person *person = person_find(roll, key);
    if (person == NULL) {
        person = mem_new(Person);
        memcpy(person->key, key, EVENT_KEY_BYTES);
        HASH_ADD(hh, roll->persons, key, EVENT_KEY_BYTES, person);
    }
    return person;
}

static void person_drop_if_unused(Roll *roll, Person *person)
{
    if (person != roll->founder && person->claims == NULL && person->invited == NULL &&
        person->removals == NULL) {
        HASH_DEL(roll->persons, person);
        mem_free(person);
    }
}

void claim_free(Claim *claim)
{
    bytes_unref(claim->membership);
    for (size_t i = 0; i < claim->addresses_count; i++) {
        mem_free(claim->addresses[i]);
    }
    mem_free(claim->name);
    mem_free(claim);
}

int spot_compare(const Spot *a, const Spot *b)
{
    if (a->epoch != b->epoch) {
        return a->epoch < b->epoch ? -1 : 1;
    }
    if (a->seq != b->seq) {
        return a->seq < b->seq ? -1 : 1;
    }
    return memcmp(a->hash.bytes, b->hash.bytes, EVENT_HASH_BYTES);
}

static int compare_bytes(const Bytes *a, const Bytes *b)
{
    size_t a_len = bytes_len(a);
    size_t b_len = bytes_len(b);
    int by_bytes = memcmp(bytes_data(a), bytes_data(b), a_len < b_len ? a_len : b_len);
    return by_bytes != 0 ? by_bytes : (a_len > b_len) - (a_len < b_len);
}

typedef enum ClaimClass { CLAIM_OF_FOUNDER, CLAIM_IN_EVENT, CLAIM_AT_DOOR } ClaimClass;

/* The founder's events come first, so that he can always set right what others fill up; what is in
 * no event comes last. */
static ClaimClass claim_class(const Claim *claim)
{
    if (claim->at_door) {
        return CLAIM_AT_DOOR;
    }
    return claim->by->is_founder ? CLAIM_OF_FOUNDER : CLAIM_IN_EVENT;
}

int claim_compare(const Claim *a, const Claim *b)
{
    ClaimClass a_class = claim_class(a);
    ClaimClass b_class = claim_class(b);
    if (a_class != b_class) {
        return a_class < b_class ? -1 : 1;
    }
    int order = memcmp(a->by->key, b->by->key, EVENT_KEY_BYTES);
    order = order != 0 ? order : spot_compare(&a->spot, &b->spot);
    order = order != 0 ? order : memcmp(a->who->key, b->who->key, EVENT_KEY_BYTES);
    return order != 0 ? order : compare_bytes(a->membership, b->membership);
}

static bool goes_first(const HeapNode *a, const HeapNode *b)
{
    return claim_compare(CONTAINER_OF(a, Claim, node), CONTAINER_OF(b, Claim, node)) > 0;
}

/* Unlinks it; the caller frees it. */
static void claim_take_out(Roll *roll, Claim *claim)
{
    LL_DELETE2(claim->who->claims, claim, next_of_who);
    LL_DELETE2(claim->by->invited, claim, next_of_by);
    heap_remove(&roll->claims, &claim->node, goes_first);
    claim->who->claims_count--;
    roll->claims_count--;
}

static void claim_remove(Roll *roll, Claim *claim)
{
    claim_take_out(roll, claim);
    Person *who = claim->who;
    Person *by = claim->by;
    claim_free(claim);
    person_drop_if_unused(roll, who);
    if (by != who) {
        person_drop_if_unused(roll, by);
    }
}

/* Of one inviter's claims in one stream the first is worth as much as all. */
static Claim *find_alike(const Claim *claim)
{
    Claim *other;
    LL_FOREACH2(claim->who->claims, other, next_of_who)
    {
        if (other->by == claim->by && other->at_door == claim->at_door &&
            other->spot.epoch == claim->spot.epoch) {
            return other;
        }
    }
    return NULL;
}

static Claim *worst_of(const Person *person)
{
    Claim *worst = person->claims;
    Claim *claim;
    LL_FOREACH2(person->claims, claim, next_of_who)
    {
        worst = claim_compare(claim, worst) > 0 ? claim : worst;
    }
    return worst;
}

/* Where it was told last: one of those places will do, and the newest stays longest. */
static void claim_tell(Claim *claim, const StreamId *stream, uint64_t seq)
{
    claim->told = true;
    claim->told_in = *stream;
    claim->told_seq = seq;
}

bool claim_add(Roll *roll, Claim *claim)
{
    Person *who = claim->who;
    Claim *alike = find_alike(claim);
    if (alike != NULL && alike->told && !claim->told) {
        claim_tell(claim, &alike->told_in, alike->told_seq);
    }
    if (alike != NULL && claim_compare(alike, claim) <= 0) {
        if (claim->told) {
            claim_tell(alike, &claim->told_in, claim->told_seq);
        }
        claim_free(claim);
        return false;
    }
    LL_PREPEND2(who->claims, claim, next_of_who);
    LL_PREPEND2(claim->by->invited, claim, next_of_by);
    heap_add(&roll->claims, &claim->node, goes_first);
    who->claims_count++;
    roll->claims_count++;
    Claim *over = alike;
    if (over == NULL && who->claims_count > MEMBERSHIPS_OF_KEY_MAX) {
        over = worst_of(who);
    } else if (over == NULL && roll->claims_count > MEMBERS_MAX) {
        over = CONTAINER_OF(roll->claims, Claim, node);
    }
    bool stays = over != claim;
    if (over != NULL) {
        claim_remove(roll, over);
    }
    roll->settled = roll->settled && !stays;
    return stays;
}

/* Takes over its claim. False: it changes nothing. */
static bool claim_place(Roll *roll, const MembershipText *text)
{
    text->claim->who = person_get(roll, text->key);
    text->claim->by = person_get(roll, text->inviter);
    bool stays = claim_add(roll, text->claim);
    /* Where it was not kept, nobody else may have named them. */
    Person *key = person_find(roll, text->key);
    if (key != NULL) {
        person_drop_if_unused(roll, key);
    }
    Person *inviter = person_find(roll, text->inviter);
    if (inviter != NULL) {
        person_drop_if_unused(roll, inviter);
    }
    return stays;
}

/* ---- events ---- */

static Spot spot_of(const LogEvent *event)
{
    return (Spot){
        .epoch = event->fields.stream.epoch, .seq = event->fields.seq, .hash = event->hash};
}

/* The founder needs nobody, and nobody lets himself in. */
static bool says_nothing(const Roll *roll, const MembershipText *text)
{
    return memcmp(text->key, roll->founder->key, EVENT_KEY_BYTES) == 0 ||
           memcmp(text->key, text->inviter, EVENT_KEY_BYTES) == 0;
}

static bool take_membership(Roll *roll, const LogEvent *event)
{
    const EventFields *fields = &event->fields;
    const char *reason = "";
    MembershipText text;
    if (membership_read_signed(roll, fields->body, fields->body_len, &text, &reason) != ERR_OK) {
        return false;
    }
    if (says_nothing(roll, &text) || !membership_signature_is_good(&text)) {
        claim_free(text.claim);
        return false;
    }
    if (memcmp(text.inviter, fields->stream.origin, EVENT_KEY_BYTES) == 0) {
        text.claim->spot = spot_of(event);
    } else {
        text.claim->at_door = true;
        /* Who tells of himself tells nobody who does not know him already. */
        if (memcmp(text.key, fields->stream.origin, EVENT_KEY_BYTES) != 0) {
            claim_tell(text.claim, &fields->stream, fields->seq);
        }
    }
    return claim_place(roll, &text);
}

static void cut_invited(Roll *roll, const StreamId *stream, uint64_t hi)
{
    const Person *by = person_find(roll, stream->origin);
    Claim *claim = by != NULL ? by->invited : NULL;
    while (claim != NULL) {
        Claim *next = claim->next_of_by;
        if (!claim->at_door && claim->spot.epoch == stream->epoch && claim->spot.seq > hi) {
            roll->settled = false;
            claim_remove(roll, claim); /* by may go with the last */
        }
        claim = next;
    }
}

static void cut_told(const Roll *roll, const StreamId *stream, uint64_t hi)
{
    for (const Person *person = roll->persons; person != NULL; person = person->hh.next) {
        Claim *claim;
        LL_FOREACH2(person->claims, claim, next_of_who)
        {
            if (claim->told && claim->told_seq > hi &&
                stream_id_compare(&claim->told_in, stream) == 0) {
                claim->told = false;
            }
        }
    }
}

void members_cut_events(Members *members, const StreamId *stream, uint64_t hi)
{
    cut_invited(members->roll, stream, hi);
    cut_told(members->roll, stream, hi);
}

/* ---- revocations ---- */

static void part_clear(Roll *roll, RemovalPart *part)
{
    roll->cuts_count -= part->count;
    mem_free(part->cuts);
    *part = (RemovalPart){.there = false};
}

void removal_free(Removal *removal)
{
    for (size_t i = 0; i < removal->parts_count; i++) {
        mem_free(removal->parts[i].cuts);
    }
    mem_free(removal->parts);
    mem_free(removal);
}

static int compare_removal(const Removal *removal, const RevocationText *text)
{
    int by_id = memcmp(removal->id, text->id, sizeof(text->id));
    return by_id != 0 ? by_id
                      : (removal->parts_count > text->parts) - (removal->parts_count < text->parts);
}

static void removal_drop(Roll *roll, Person *person, Removal *removal)
{
    for (size_t i = 0; i < removal->parts_count; i++) {
        part_clear(roll, &removal->parts[i]);
    }
    LL_DELETE(person->removals, removal);
    person->removals_count--;
    removal_free(removal);
}

/* They are sorted: where there is one too many, the last one goes, by its number and not by its
 * time. NULL: it would be this one. */
static Removal *removal_get(Roll *roll, Person *person, const RevocationText *text,
                            bool *ret_other_went)
{
    Removal **at = &person->removals;
    while (*at != NULL && compare_removal(*at, text) < 0) {
        at = &(*at)->next;
    }
    if (*at != NULL && compare_removal(*at, text) == 0) {
        return *at;
    }
    if (*at == NULL && person->removals_count >= REVOCATIONS_OF_KEY_MAX) {
        return NULL;
    }
    Removal *removal = mem_new(Removal);
    memcpy(removal->id, text->id, sizeof(removal->id));
    removal->parts_count = text->parts;
    removal->parts = mem_array(text->parts, sizeof(RemovalPart));
    removal->next = *at;
    *at = removal;
    if (++person->removals_count > REVOCATIONS_OF_KEY_MAX) {
        Removal *last = removal;
        while (last->next != NULL) {
            last = last->next;
        }
        removal_drop(roll, person, last);
        *ret_other_went = true;
    }
    return removal;
}

/* Takes over text's cuts. */
static bool place_part(Roll *roll, Removal *removal, RevocationText *text, const Spot *spot)
{
    RemovalPart *part = &removal->parts[text->part];
    if (part->there && spot_compare(&part->spot, spot) <= 0) {
        return false; /* of two that differ the first one counts */
    }
    removal->there += !part->there;
    part_clear(roll, part);
    *part =
        (RemovalPart){.there = true, .spot = *spot, .cuts = TAKE(text->cuts), .count = text->count};
    roll->cuts_count += part->count;
    return removal->there == removal->parts_count;
}

/* May take over its cuts. */
static bool take_revocation_text(Roll *roll, const LogEvent *event, RevocationText *text)
{
    bool of_founder = memcmp(text->key, roll->founder->key, EVENT_KEY_BYTES) == 0;
    Person *person = person_find(roll, text->key);
    bool is_first = person == NULL || person->removals == NULL;
    if (of_founder || roll->cuts_count + text->count > MEMBERS_CUTS_MAX ||
        (is_first && roll->removed_count >= MEMBERS_MAX)) {
        return false;
    }
    person = person_get(roll, text->key);
    roll->removed_count += is_first;
    bool changed = false;
    Removal *removal = removal_get(roll, person, text, &changed);
    Spot spot = spot_of(event);
    changed |= removal != NULL && place_part(roll, removal, text, &spot);
    if (changed) {
        person_combine_cuts(person);
        roll->settled = false;
    }
    return changed;
}

static bool take_revocation(Roll *roll, const LogEvent *event)
{
    RevocationText text;
    const EventFields *fields = &event->fields;
    if (memcmp(fields->stream.origin, roll->founder->key, EVENT_KEY_BYTES) != 0 ||
        revocation_read(fields->body, fields->body_len, &text) != ERR_OK) {
        return false;
    }
    bool changed = take_revocation_text(roll, event, &text);
    mem_free(text.cuts);
    return changed;
}

bool members_take(Members *members, const LogEvent *event)
{
    Roll *roll = members->roll;
    const EventFields *fields = &event->fields;
    if (fields->network == NULL ||
        memcmp(fields->network, roll->network, EVENT_NETWORK_BYTES) != 0) {
        return false;
    }
    switch (fields->kind) {
    case LOG_MEMBER:
        return take_membership(roll, event);
    case LOG_REVOKE:
        return take_revocation(roll, event);
    default:
        return false;
    }
}

/* ---- at the door ---- */

enum { PROOF_ARENA_BYTES = 4 * MEMBER_PROOF_MAX_BYTES };

static Err refuse(const char **ret_reason, const char *reason)
{
    *ret_reason = reason;
    return ERR_INVALID;
}

static bool is_revoked(const Roll *roll, const uint8_t *key)
{
    const Person *person = person_find(roll, key);
    return person != NULL && person->revoked;
}

typedef struct Chain {
    MembershipText links[MEMBER_PROOF_MAX];
    size_t count;
} Chain;

/* Each is the inviter of the next, from the founder to key. */
static Err check_chain(const Roll *roll, const Chain *chain, const uint8_t *key,
                       const char **ret_reason)
{
    const uint8_t *at = roll->founder->key;
    for (size_t i = 0; i < chain->count; i++) {
        const MembershipText *link = &chain->links[i];
        if (memcmp(link->inviter, at, EVENT_KEY_BYTES) != 0 || says_nothing(roll, link)) {
            return refuse(ret_reason, "the proof is no chain from the founder on");
        }
        if (is_revoked(roll, at)) {
            return refuse(ret_reason, "who has let it in was removed from this network: it takes "
                                      "a new invitation");
        }
        at = link->key;
    }
    if (chain->count == 0 || memcmp(at, key, EVENT_KEY_BYTES) != 0) {
        return refuse(ret_reason, "it is not a member of this network: its proof is not of its "
                                  "key");
    }
    for (size_t i = 0; i < chain->count; i++) {
        if (!membership_signature_is_good(&chain->links[i])) {
            return refuse(ret_reason, "the proof is forged: a signature in it is not good");
        }
    }
    return ERR_OK;
}

static Err read_chain(const Roll *roll, const uint8_t *proof, size_t len, Chain *chain,
                      const char **ret_reason)
{
    if (len > MEMBER_PROOF_MAX_BYTES) {
        return refuse(ret_reason, "the proof is longer than 24 KiB");
    }
    AUTO_FREE uint8_t *memory = mem_alloc(PROOF_ARENA_BYTES);
    ProtoArena arena;
    const Chat__MemberProof *decoded = chat__member_proof__unpack(
        proto_arena_reset(&arena, memory, PROOF_ARENA_BYTES), len, proof);
    if (decoded == NULL) {
        return refuse(ret_reason, "the proof is damaged");
    }
    if (decoded->n_memberships > MEMBER_PROOF_MAX) {
        return refuse(ret_reason, "the proof has more than 16 memberships");
    }
    Err err = ERR_OK;
    for (size_t i = 0; i < decoded->n_memberships && err == ERR_OK; i++) {
        const Chat__SignedMembership *link = decoded->memberships[i];
        err =
            membership_read(roll, link->membership.data, link->membership.len, link->signature.data,
                            link->signature.len, &chain->links[i], ret_reason);
        chain->count += err == ERR_OK;
    }
    return err;
}

Err members_take_proof(Members *members, const uint8_t key[EVENT_KEY_BYTES], const uint8_t *proof,
                       size_t len, const char **ret_reason)
{
    Roll *roll = members->roll;
    if (members_state(members, key) == MEMBER_GOOD) {
        return ERR_OK;
    }
    if (is_revoked(roll, key)) {
        return refuse(ret_reason, "it was removed from this network");
    }
    Chain chain = {.count = 0};
    Err err = read_chain(roll, proof, len, &chain, ret_reason);
    err = err == ERR_OK ? check_chain(roll, &chain, key, ret_reason) : err;
    for (size_t i = 0; i < chain.count; i++) {
        if (err == ERR_OK) {
            chain.links[i].claim->at_door = true;
            (void)claim_place(roll, &chain.links[i]);
        } else {
            claim_free(chain.links[i].claim);
        }
    }
    if (err == ERR_OK && members_state(members, key) != MEMBER_GOOD) {
        *ret_reason = "this network has as many members as there may be";
        err = ERR_LIMIT;
    }
    return err;
}

/* Who is a member, worked out: from the founder on, whoever a member has let in.
 *
 * Breadth first, so each member is found by a shortest chain, which is what it has to show. Of
 * chains of one length the order of claims decides: the answer depends on what is known alone. */
#include "core/members_state.h"

#include <stdlib.h>
#include <string.h>

/* ---- cuts ---- */

static int compare_cuts(const void *a, const void *b)
{
    const MemberCut *x = a;
    const MemberCut *y = b;
    if (x->epoch != y->epoch) {
        return x->epoch < y->epoch ? -1 : 1;
    }
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    return memcmp(x->hash.bytes, y->hash.bytes, EVENT_HASH_BYTES);
}

/* All cuts of a revocation, by epoch, the lowest of each. */
static MemberCut *cuts_of(const Removal *removal, size_t *ret_count)
{
    size_t count = 0;
    for (size_t i = 0; i < removal->parts_count; i++) {
        count += removal->parts[i].count;
    }
    MemberCut *cuts = mem_array(count, sizeof(MemberCut));
    size_t at = 0;
    for (size_t i = 0; i < removal->parts_count; i++) {
        const RemovalPart *part = &removal->parts[i];
        for (size_t j = 0; j < part->count; j++) {
            cuts[at++] = part->cuts[j];
        }
    }
    if (count > 0) {
        qsort(cuts, count, sizeof(MemberCut), compare_cuts);
    }
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || cuts[kept - 1].epoch != cuts[i].epoch) {
            cuts[kept++] = cuts[i];
        }
    }
    *ret_count = kept;
    return cuts;
}

/* Leaves what both name, at the lower place. Both are sorted. */
static size_t intersect(MemberCut *cuts, size_t count, const MemberCut *others, size_t others_count)
{
    size_t kept = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        while (at < others_count && others[at].epoch < cuts[i].epoch) {
            at++;
        }
        if (at < others_count && others[at].epoch == cuts[i].epoch) {
            bool lower = compare_cuts(&others[at], &cuts[i]) < 0;
            cuts[kept++] = lower ? others[at] : cuts[i];
        }
    }
    return kept;
}

void person_combine_cuts(Person *person)
{
    mem_free(TAKE(person->cuts));
    person->cuts_count = 0;
    person->revoked = false;
    for (const Removal *removal = person->removals; removal != NULL; removal = removal->next) {
        if (removal->there < removal->parts_count) {
            continue;
        }
        size_t count = 0;
        MemberCut *cuts = cuts_of(removal, &count);
        if (!person->revoked) {
            person->revoked = true;
            person->cuts = cuts;
            person->cuts_count = count;
        } else {
            person->cuts_count = intersect(person->cuts, person->cuts_count, cuts, count);
            mem_free(cuts);
        }
    }
}

static int compare_epoch(const void *key, const void *cut)
{
    const uint64_t *epoch = key;
    const MemberCut *other = cut;
    return (*epoch > other->epoch) - (*epoch < other->epoch);
}

const MemberCut *person_cut(const Person *person, uint64_t epoch)
{
    if (person->cuts_count == 0) {
        return NULL;
    }
    return bsearch(&epoch, person->cuts, person->cuts_count, sizeof(MemberCut), compare_epoch);
}

/* ---- the fixpoint ---- */

/* Given that whoever has made it is, or was, a member. */
static bool claim_counts(const Claim *claim)
{
    if (!claim->by->revoked) {
        return true;
    }
    const MemberCut *cut = claim->at_door ? NULL : person_cut(claim->by, claim->spot.epoch);
    return cut != NULL && claim->spot.seq <= cut->seq;
}

/* Of two that count: one whose maker is a member still proves more to those who have heard less. */
static bool is_better(const Claim *a, const Claim *b)
{
    if (a->by->revoked != b->by->revoked) {
        return b->by->revoked;
    }
    return claim_compare(a, b) < 0;
}

static void follow(Person **queue, size_t *count, const Person *from)
{
    for (const Claim *claim = from->invited; claim != NULL; claim = claim->next_of_by) {
        Person *to = claim->who;
        if (!claim_counts(claim)) {
            continue;
        }
        if (!to->rooted) {
            to->rooted = true;
            to->depth = from->depth + 1;
            to->via = claim;
            queue[(*count)++] = to;
        } else if (to->via != NULL && to->depth == from->depth + 1 && is_better(claim, to->via)) {
            to->via = claim;
        }
    }
}

/* What is known of somebody who is revoked, and whom nothing that counts has let in. */
static const Claim *any_claim(const Person *person)
{
    const Claim *first = person->claims;
    for (const Claim *claim = first; claim != NULL; claim = claim->next_of_who) {
        first = claim_compare(claim, first) < 0 ? claim : first;
    }
    return first;
}

static void fill_member(const Roll *roll, Person *person)
{
    const Claim *claim = person->rooted ? person->via : any_claim(person);
    Member *member = &person->member;
    *member = (Member){.revoked = person->revoked};
    memcpy(member->key, person->key, EVENT_KEY_BYTES);
    if (claim != NULL) {
        memcpy(member->name, claim->name, strlen(claim->name) + 1);
        member->is_adopted = claim->is_adopted;
        memcpy(member->inviter, claim->is_adopted ? claim->introducer : claim->by->key,
               EVENT_KEY_BYTES);
        member->since_ms = claim->time_ms;
        member->addresses = (const char *const *)claim->addresses;
        member->addresses_count = claim->addresses_count;
    } else if (person == roll->founder) {
        member->since_ms = roll->founded_ms;
    }
}

static int by_moment(const void *a, const void *b)
{
    const Member *x = &(*(Person *const *)a)->member;
    const Member *y = &(*(Person *const *)b)->member;
    if (x->since_ms != y->since_ms) {
        return x->since_ms < y->since_ms ? -1 : 1;
    }
    return memcmp(x->key, y->key, EVENT_KEY_BYTES);
}

static void make_list(Roll *roll)
{
    roll->list = mem_resize(roll->list, HASH_COUNT(roll->persons), sizeof(Person *));
    roll->list_count = 0;
    roll->good_count = 0;
    for (Person *person = roll->persons; person != NULL; person = person->hh.next) {
        person->listed = person->rooted || person->revoked;
        if (person->listed) {
            fill_member(roll, person);
            roll->list[roll->list_count++] = person;
            roll->good_count += !person->revoked;
        }
    }
    qsort(roll->list, roll->list_count, sizeof(Person *), by_moment);
}

void members_settle(Roll *roll)
{
    if (roll->settled) {
        return;
    }
    roll->settled = true;
    for (Person *person = roll->persons; person != NULL; person = person->hh.next) {
        person->rooted = false;
        person->depth = 0;
        person->via = NULL;
    }
    AUTO_FREE Person **queue = mem_array(HASH_COUNT(roll->persons), sizeof(Person *));
    size_t count = 0;
    roll->founder->rooted = true;
    queue[count++] = roll->founder;
    for (size_t at = 0; at < count; at++) {
        if (queue[at]->depth < MEMBER_PROOF_MAX) {
            follow(queue, &count, queue[at]);
        }
    }
    make_list(roll);
}

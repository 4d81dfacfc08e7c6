/* Whose name is it? So that nobody passes for somebody else: who speaks under a name that belongs
 * to another node, or looks like such a name (base/lookalike.h), is shown with the fingerprint of
 * his node's key behind it: "bob~3f2a-91bc". Pure.
 *
 *   membership, presence, the log --> (key, name), in the order in which it was heard
 *                                          |
 *   a line's key and name -----------------+--> is the name this key's own?
 *
 * A name belongs to the member that was let in by it; else to the key that was heard of by it
 * first, as far as this node knows. What looks alike is one name. Marked always, whoever has them:
 * names that read like something of the program's ("--", "*", "a -> b", "bob~3f2a-91bc") and names
 * that show nothing. */
#pragma once

#include "core/event.h"

typedef struct Names Names;

enum {
    /* Besides members' names: more than one mesh of people has; some 2 MB if it is ever full. Then
     * the one that was not heard for longest makes room. */
    NAMES_MAX = 4096,
    /* A node may serve many programs; one that makes up names takes none from others. */
    NAMES_OF_KEY_MAX = 64,
    NAMES_MEMBERS_MAX = 10000,   /* as members.h has it; beyond, a member is as anybody */
    NAME_FINGERPRINT_BYTES = 10, /* "3f2a-91bc" and a NUL */
};

/* own_name is the own key's from the beginning. */
Names *names_new(const uint8_t own_key[EVENT_KEY_BYTES], const char *own_name);
/* NULL is fine. */
void names_free(Names *names);

/* This node's person goes by another name. */
void names_rename_own(Names *names, const char *name);

/* All members anew: first names_clear_members, then each in the order in which they were let in,
 * those revoked behind the others: of two with one name the first has it. */
void names_clear_members(Names *names);
void names_add_member(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name);

/* Somebody goes by that name. It is the key's own from now on, if it is nobody's yet. */
void names_claim(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name);
/* Could that name of a line of that key's mislead? Where it is not to be claimed (a classic node's
 * line, which any of our nodes may have heard) it may still be somebody's. */
bool names_misleads(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name);
/* Is it, or looks like, the name of another member than key? */
bool names_is_of_other_member(Names *names, const uint8_t key[EVENT_KEY_BYTES], const char *name);

/* The keys of who: a name, a name as it is shown with its mark, a fingerprint or its beginning (4
 * hex digits or more; dashes do not count). How many there are; the first `max` are given. */
size_t names_find(const Names *names, const char *who, size_t len,
                  uint8_t (*ret_keys)[EVENT_KEY_BYTES], size_t max);
/* The name by which that key was last heard of; NULL: not known. Valid until something changes. */
const char *names_of(const Names *names, const uint8_t key[EVENT_KEY_BYTES]);

/* The first 4 bytes of BLAKE2b-256 of the key, in hex. */
void name_fingerprint(const uint8_t key[EVENT_KEY_BYTES], char ret_text[NAME_FINGERPRINT_BYTES]);
/* Is who the beginning of the key's fingerprint, or all of it? */
bool name_fingerprint_begins(const uint8_t key[EVENT_KEY_BYTES], const char *who, size_t len);

/* Rows in a private file; what they say is asked and changed by one process at a time. */
#include "io/invites.h"

#include "io/private_rows.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum {
    HASH_BYTES = 32,
};

static const int64_t MS_PER_HOUR = INT64_C(3600) * 1000;
static const int64_t EXPIRED_KEPT_MS = INT64_C(24) * 3600 * 1000 * INVITE_EXPIRED_KEPT_DAYS;

typedef struct Row {
    uint8_t hash[HASH_BYTES];
    int64_t expires_ms;
    bool used;
    uint8_t used_by[EVENT_KEY_BYTES];
} Row;

struct Invites {
    PrivateRows file;
    Row *rows; /* in the order in which they were made */
    size_t count;
};

Invites *invites_new(const char *directory)
{
    Invites *invites = mem_new(Invites);
    private_rows_init(&invites->file, directory, "invites", INVITES_KEPT_MAX);
    return invites;
}

void invites_free(Invites *invites)
{
    if (invites == NULL) {
        return;
    }
    mem_free(invites->rows);
    private_rows_done(&invites->file);
    mem_free(invites);
}

/* ---- the file ---- */

static bool read_row(const json_t *item, Row *ret_row)
{
    Row row = {0};
    const json_t *expires = json_object_get(item, "expires_ms");
    const json_t *used_by = json_object_get(item, "used_by");
    if (!private_rows_hex(json_object_get(item, "hash"), row.hash, sizeof(row.hash)) ||
        !json_is_integer(expires)) {
        return false;
    }
    row.expires_ms = json_integer_value(expires);
    row.used = used_by != NULL;
    if (row.used && !private_rows_hex(used_by, row.used_by, sizeof(row.used_by))) {
        return false;
    }
    *ret_row = row;
    return true;
}

static Err take_rows(void *context, const json_t *items, char **ret_error)
{
    Invites *invites = context;
    size_t count = json_array_size(items);
    AUTO_FREE Row *rows = mem_array(count, sizeof(Row));
    for (size_t i = 0; i < count; i++) {
        if (!read_row(json_array_get(items, i), &rows[i])) {
            *ret_error = strbuf_format(
                "%s: invitation %zu is not what chat_node writes: move the file away (invitations "
                "that are open are then good no more), and invite again",
                invites->file.path, i + 1);
            return ERR_INVALID;
        }
    }
    mem_free(invites->rows);
    invites->rows = TAKE(rows);
    invites->count = count;
    return ERR_OK;
}

static Err invites_load(Invites *invites, char **ret_error)
{
    Err err = private_rows_load(&invites->file, take_rows, invites, ret_error);
    if (err != ERR_OK) {
        invites->count = 0;
    }
    return err;
}

/* The rows here may be ahead of the disk's for a moment: they are read again. */
static Err invites_save(Invites *invites, char **ret_error)
{
    json_t *items = json_array();
    for (size_t i = 0; i < invites->count; i++) {
        const Row *row = &invites->rows[i];
        json_t *item = json_object();
        private_rows_set_hex(item, "hash", row->hash, sizeof(row->hash));
        json_object_set_new_nocheck(item, "expires_ms", json_integer(row->expires_ms));
        if (row->used) {
            private_rows_set_hex(item, "used_by", row->used_by, sizeof(row->used_by));
        }
        json_array_append_new(items, item);
    }
    return private_rows_save(&invites->file, items, ret_error);
}

/* ---- making ---- */

static bool is_open(const Row *row, int64_t now_ms)
{
    return !row->used && row->expires_ms > now_ms;
}

static size_t count_open(const Invites *invites, int64_t now_ms)
{
    size_t count = 0;
    for (size_t i = 0; i < invites->count; i++) {
        count += is_open(&invites->rows[i], now_ms) ? 1 : 0;
    }
    return count;
}

static void drop_row(Invites *invites, size_t index)
{
    invites->count--;
    memmove(&invites->rows[index], &invites->rows[index + 1],
            (invites->count - index) * sizeof(Row));
}

/* What expired long ago goes; and, where there is no room, what is of least use: the oldest that is
 * not open. */
static void sweep(Invites *invites, int64_t now_ms)
{
    for (size_t i = invites->count; i > 0; i--) {
        if (invites->rows[i - 1].expires_ms + EXPIRED_KEPT_MS < now_ms) {
            drop_row(invites, i - 1);
        }
    }
    for (size_t i = 0; i < invites->count && invites->count >= INVITES_KEPT_MAX;) {
        if (is_open(&invites->rows[i], now_ms)) {
            i++;
        } else {
            drop_row(invites, i);
        }
    }
}

static void add_row(Invites *invites, const Row *row)
{
    invites->rows = mem_resize(invites->rows, invites->count + 1, sizeof(Row));
    invites->rows[invites->count++] = *row;
}

static Err make(Invites *invites, const Invite *invite, int64_t now_ms, char **ret_error)
{
    Err err = invites_load(invites, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    if (count_open(invites, now_ms) >= INVITES_OPEN_MAX) {
        *ret_error = strbuf_format(
            "%d invitations are open, as many as may be: wait until some are used or have "
            "expired, or remove %s to make all of them worthless",
            INVITES_OPEN_MAX, invites->file.path);
        return ERR_LIMIT;
    }
    Row row = {.expires_ms = invite->expires_ms};
    invite_secret_hash(invite->secret, row.hash);
    sweep(invites, now_ms);
    add_row(invites, &row);
    return invites_save(invites, ret_error);
}

Err invites_make(Invites *invites, const uint8_t inviter[EVENT_KEY_BYTES],
                 const OwnAddresses *addresses, unsigned hours, int64_t now_ms, StrBuf *ret_line,
                 char **ret_error)
{
    if (hours < 1 || hours > INVITE_HOURS_MAX) {
        *ret_error = strbuf_format("an invitation is good for 1 to %d hours, not %u",
                                   INVITE_HOURS_MAX, hours);
        return ERR_LIMIT;
    }
    Invite invite = {.expires_ms = now_ms + (int64_t)hours * MS_PER_HOUR};
    memcpy(invite.inviter, inviter, EVENT_KEY_BYTES);
    randombytes_buf(invite.secret, sizeof(invite.secret));
    for (size_t i = 0; i < addresses->count && i < INVITE_ADDRESSES_MAX; i++) {
        snprintf(invite.addresses[i], sizeof(invite.addresses[i]), "%s", addresses->items[i]);
        invite.addresses_count++;
    }
    int lock = -1;
    Err err = private_lock(invites->file.directory, &lock, ret_error);
    if (err == ERR_OK) {
        err = make(invites, &invite, now_ms, ret_error);
        private_unlock(lock);
    }
    if (err == ERR_OK) {
        invite_write(&invite, ret_line);
    }
    sodium_memzero(&invite, sizeof(invite));
    return err;
}

/* ---- using ---- */

static Row *find_row(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES])
{
    uint8_t hash[HASH_BYTES];
    Row *found = NULL;
    invite_secret_hash(secret, hash);
    for (size_t i = 0; i < invites->count; i++) {
        if (sodium_memcmp(invites->rows[i].hash, hash, sizeof(hash)) == 0) {
            found = &invites->rows[i];
        }
    }
    return found;
}

/* Whoever has used it in time may come again later: the answer was lost. */
static Err check(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES],
                 const uint8_t key[EVENT_KEY_BYTES], int64_t now_ms, Row **ret_row,
                 char **ret_error)
{
    Err err = invites_load(invites, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    Row *row = find_row(invites, secret);
    if (row == NULL) {
        *ret_error = strbuf_format(
            "this node has not given out that invitation, or it expired long ago: ask "
            "for a new one");
        return ERR_NOT_FOUND;
    }
    if (row->used && memcmp(row->used_by, key, EVENT_KEY_BYTES) != 0) {
        *ret_error =
            strbuf_format("somebody else has used this invitation: each is good for one. Ask for a "
                          "new one");
        return ERR_EXISTS;
    }
    if (!row->used && row->expires_ms <= now_ms) {
        *ret_error = strbuf_format("this invitation has expired: ask for a new one");
        return ERR_GONE;
    }
    *ret_row = row;
    return ERR_OK;
}

Err invites_check(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES],
                  const uint8_t key[EVENT_KEY_BYTES], int64_t now_ms, char **ret_error)
{
    Row *row = NULL;
    return check(invites, secret, key, now_ms, &row, ret_error);
}

Err invites_use(Invites *invites, const uint8_t secret[INVITE_SECRET_BYTES],
                const uint8_t key[EVENT_KEY_BYTES], int64_t now_ms, char **ret_error)
{
    int lock = -1;
    Row *row = NULL;
    Err err = private_lock(invites->file.directory, &lock, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    err = check(invites, secret, key, now_ms, &row, ret_error);
    if (err == ERR_OK && !row->used) {
        row->used = true;
        memcpy(row->used_by, key, EVENT_KEY_BYTES);
        err = invites_save(invites, ret_error);
    }
    private_unlock(lock);
    return err;
}

Err invites_count(Invites *invites, int64_t now_ms, size_t *ret_open, char **ret_error)
{
    Err err = invites_load(invites, ret_error);
    if (err == ERR_OK) {
        *ret_open = count_open(invites, now_ms);
    }
    return err;
}

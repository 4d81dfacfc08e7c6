/* What one address may do before it has passed: a bucket of handshakes, and how many wait at once.
 * The table is bounded: who has not come for longest is forgotten, which costs nothing but that his
 * bucket is full again. */
#include "io/gate_internal.h"

#include "base/mem.h"

#include <netinet/in.h>
#include <string.h>

enum {
    /* At some 100 bytes each; more of them at once would be a flood from everywhere, against which
     * GATE_WAITING_MAX stands. */
    ADDRESSES_MAX = 4096,
    MILLI = 1000,
    PREFIX_BYTES = 8, /* an IPv6 /64: what one home or one server gets */
    MAPPED_AT = 12,
    MAPPED_MARK_AT = 10,
    BYTE_FULL = 0xff,
};

/* IPv4 as it is written in IPv6 (RFC 4291 section 2.5.5.2). */
static void address_key(const struct sockaddr_storage *from, uint8_t ret_key[16])
{
    memset(ret_key, 0, 16);
    if (from->ss_family == AF_INET) {
        ret_key[MAPPED_MARK_AT] = BYTE_FULL;
        ret_key[MAPPED_MARK_AT + 1] = BYTE_FULL;
        memcpy(ret_key + MAPPED_AT, &((const struct sockaddr_in *)from)->sin_addr, 4);
    } else if (from->ss_family == AF_INET6) {
        memcpy(ret_key, &((const struct sockaddr_in6 *)from)->sin6_addr, PREFIX_BYTES);
    }
}

static void forget_one(GateLimits *limits)
{
    GateAddress *address = NULL;
    GateAddress *next = NULL;
    HASH_ITER(hh, limits->addresses, address, next) {
        if (address->waiting == 0) {
            HASH_DELETE(hh, limits->addresses, address);
            mem_free(address);
            return;
        }
    }
}

/* As the one seen last. */
static GateAddress *find(GateLimits *limits, const uint8_t key[16], uint64_t now_ms)
{
    GateAddress *address = NULL;
    HASH_FIND(hh, limits->addresses, key, sizeof(address->key), address);
    if (address != NULL) {
        HASH_DELETE(hh, limits->addresses, address);
    } else {
        if (HASH_COUNT(limits->addresses) >= ADDRESSES_MAX) {
            forget_one(limits);
        }
        address = mem_new(GateAddress);
        memcpy(address->key, key, sizeof(address->key));
        address->tokens_milli = GATE_BURST_OF_ADDRESS * MILLI;
        address->filled_ms = now_ms;
    }
    HASH_ADD(hh, limits->addresses, key, sizeof(address->key), address);
    return address;
}

/* RATE a second is RATE thousandths a millisecond. */
static void fill(GateAddress *address, uint64_t now_ms)
{
    const uint64_t full = (uint64_t)GATE_BURST_OF_ADDRESS * MILLI;
    uint64_t more = (now_ms - address->filled_ms) * GATE_RATE_OF_ADDRESS;
    uint64_t tokens = address->tokens_milli + more;
    address->tokens_milli = (uint32_t)(tokens < full ? tokens : full);
    address->filled_ms = now_ms;
}

GateAddress *gate_limits_enter(GateLimits *limits, const struct sockaddr_storage *from,
                               uint64_t now_ms, const char **ret_reason)
{
    uint8_t key[16];
    address_key(from, key);
    GateAddress *address = find(limits, key, now_ms);
    fill(address, now_ms);
    if (now_ms < address->barred_until_ms) {
        *ret_reason = "somebody there flooded this node a moment ago";
        return NULL;
    }
    if (address->tokens_milli < MILLI) {
        *ret_reason = "too many connections from there in a short time";
        return NULL;
    }
    if (address->waiting >= GATE_WAITING_OF_ADDRESS_MAX) {
        *ret_reason = "too many connections from there that do not say who they are";
        return NULL;
    }
    address->tokens_milli -= MILLI;
    address->waiting++;
    return address;
}

void gate_limits_leave(GateAddress *address)
{
    if (address != NULL) {
        address->waiting--;
    }
}

void gate_limits_charge(GateAddress *address)
{
    const uint32_t cost = GATE_TRIAL_HANDSHAKES * MILLI;
    address->tokens_milli -= address->tokens_milli < cost ? address->tokens_milli : cost;
    gate_limits_leave(address);
}

void gate_limits_bar(GateLimits *limits, const struct sockaddr_storage *from, uint64_t now_ms)
{
    uint8_t key[16];
    address_key(from, key);
    GateAddress *address = find(limits, key, now_ms);
    fill(address, now_ms);
    address->barred_until_ms = now_ms + GATE_BAR_MS;
}

void gate_limits_done(GateLimits *limits)
{
    GateAddress *address = NULL;
    GateAddress *next = NULL;
    HASH_ITER(hh, limits->addresses, address, next) {
        HASH_DELETE(hh, limits->addresses, address);
        mem_free(address);
    }
}

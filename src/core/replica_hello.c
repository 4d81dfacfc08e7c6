/* Who a link leads to, in a private network: each side signs its hello for this one connection.
 *
 *   key, over "chat_node hello 1" | 1 who dialled, 2 who was dialled | binding
 *
 * TLS has proved a key to each end, and the binding is a number that the two ends of one connection
 * have and nobody else. So a hello is of no use on another connection, nor sent back where it came
 * from: who stands in between two members is noticed by both. */
#include "core/replica_state.h"

#include <sodium.h>
#include <string.h>

static const char HELLO_DOMAIN[] = "chat_node hello 1";

typedef struct HelloWords {
    uint8_t bytes[sizeof(HELLO_DOMAIN) + 1 + BINDING_BYTES];
} HelloWords;

static HelloWords words_of(const ReplicaLink *link, bool dialled)
{
    HelloWords words;
    memcpy(words.bytes, HELLO_DOMAIN, sizeof(HELLO_DOMAIN));
    words.bytes[sizeof(HELLO_DOMAIN)] = dialled ? 1 : 2;
    memcpy(words.bytes + sizeof(HELLO_DOMAIN) + 1, link->binding, BINDING_BYTES);
    return words;
}

void hello_bind(const Replica *replica, const ReplicaLink *link, FrameHello *hello)
{
    if (!link->is_bound) {
        return;
    }
    HelloWords words = words_of(link, link->dialled);
    crypto_sign_detached(hello->binding, NULL, words.bytes, sizeof(words.bytes),
                         replica->config.signer.secret);
    hello->is_bound = true;
}

const char *hello_check(const Replica *replica, const ReplicaLink *link, const FrameHello *hello)
{
    if (!link->is_bound) {
        return replica->config.cut != NULL ? "its connection is not one of a private network"
                                           : NULL;
    }
    if (memcmp(hello->key, link->peer_key, EVENT_KEY_BYTES) != 0) {
        return "it says hello with another key than its connection's";
    }
    if (!hello->is_bound) {
        return "it did not sign its hello";
    }
    HelloWords words = words_of(link, !link->dialled);
    return crypto_sign_verify_detached(hello->binding, words.bytes, sizeof(words.bytes),
                                       hello->key) == 0
               ? NULL
               : "its hello was not signed for this connection";
}

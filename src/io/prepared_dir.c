/* The store does all of it: lock, identity, log. */
#include "io/prepared_dir.h"

#include "base/strbuf.h"
#include "core/members.h"
#include "io/store.h"

struct PreparedDir {
    Loop *loop;
    Store *store;
    NetworkFile network; /* of which it was; zeroed: none */
};

static Err refuse(const char *directory, const char *what, char **ret_error)
{
    *ret_error = strbuf_format("%s %s: name another directory with --data", directory, what);
    return ERR_EXISTS;
}

static void end_loop(Loop *loop)
{
    loop_stop(loop);
    loop_run(loop);
    loop_free(loop);
}

static void store_closed(void *context)
{
    loop_stop(context);
}

void prepared_dir_close(PreparedDir *prepared)
{
    store_close(prepared->store, store_closed, prepared->loop);
    loop_run(prepared->loop);
    loop_free(prepared->loop);
    network_file_done(&prepared->network);
    mem_free(prepared);
}

/* What the log and the file say of who is in. */
static Err load_members(const PreparedDir *prepared, const uint8_t *own, Members **ret_members,
                        const char **ret_reason)
{
    const NetworkFile *network = &prepared->network;
    size_t count = 0;
    LogEvent *const *events = store_control_events(prepared->store, &count);
    Err err = members_new(bytes_data(network->genesis), bytes_len(network->genesis), ret_members,
                          ret_reason);
    for (size_t i = 0; err == ERR_OK && i < count; i++) {
        (void)members_take(*ret_members, events[i]);
    }
    if (err == ERR_OK) {
        (void)members_take_proof(*ret_members, own, bytes_data(network->proof),
                                 bytes_len(network->proof), ret_reason);
    }
    return err;
}

/* NULL: that member may let it in again, also where it takes itself for a member: it is the last to
 * hear that it is none, since those who know do not link with it. */
static const char *why_not_again(const PreparedDir *prepared, const uint8_t *inviter)
{
    Members *members = NULL;
    EventSigner signer;
    const char *reason = "";
    event_signer_init(&signer, store_seed(prepared->store));
    if (load_members(prepared, signer.public_key, &members, &reason) != ERR_OK) {
        reason = "is of a network that makes no sense";
    } else if (members_state(members, signer.public_key) == MEMBER_REVOKED) {
        reason = "is a node's that was removed from its network, for good";
    } else if (inviter == NULL) {
        reason = "is a node's of a private network already (chat_node PORT starts it)";
    } else if (members_state(members, inviter) != MEMBER_GOOD) {
        reason =
            "is a node's of a private network of which the inviter is not known to be a member";
    } else {
        reason = NULL;
    }
    event_signer_done(&signer);
    members_free(members);
    return reason;
}

static const char *why_not(const PreparedDir *prepared, const uint8_t *inviter)
{
    size_t streams = 0;
    (void)store_heads(prepared->store, &streams);
    if (prepared->network.genesis != NULL) {
        return why_not_again(prepared, inviter);
    }
    return streams > 0 ? "holds a conversation that was not said in a private network, and would "
                         "not be part of it"
                       : NULL;
}

Err prepared_dir_open(const char *directory, const uint8_t inviter[EVENT_KEY_BYTES],
                      PreparedDir **ret_prepared, char **ret_error)
{
    NetworkFile network = {0};
    Err err = network_file_load(directory, &network, ret_error);
    if (err != ERR_OK && err != ERR_NOT_FOUND) {
        return err;
    }
    Loop *loop = loop_new();
    Store *store = NULL;
    err = store_open(&(StoreOptions){.directory = directory}, loop, &store, ret_error);
    if (err != ERR_OK) {
        network_file_done(&network);
        end_loop(loop);
        return err;
    }
    PreparedDir *prepared = mem_new(PreparedDir);
    *prepared = (PreparedDir){.loop = loop, .store = store, .network = network};
    const char *reason = why_not(prepared, inviter);
    if (reason != NULL) {
        prepared_dir_close(prepared);
        return refuse(directory, reason, ret_error);
    }
    *ret_prepared = prepared;
    return ERR_OK;
}

const NetworkFile *prepared_dir_network(const PreparedDir *prepared)
{
    return prepared->network.genesis != NULL ? &prepared->network : NULL;
}

const uint8_t *prepared_dir_seed(const PreparedDir *prepared)
{
    return store_seed(prepared->store);
}

Loop *prepared_dir_loop(const PreparedDir *prepared)
{
    return prepared->loop;
}

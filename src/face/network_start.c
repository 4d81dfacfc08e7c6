/* Making a network, and what the start knows of it; joining is in network_join.c. */
#include "face/network_start.h"

#include "core/members.h"
#include "face/network_join.h"
#include "io/data_dir.h"
#include "io/invites.h"
#include "io/prepared_dir.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { SALT_BYTES = 16 };

static Err say_reason(Err err, const char *about, const char *reason, char **ret_error)
{
    *ret_error = strbuf_format("%s: %s", about, reason);
    return err;
}

void network_start_done(NetworkStart *start)
{
    if (start->program_pem != NULL) {
        sodium_memzero(start->program_pem, strlen(start->program_pem));
    }
    mem_free(TAKE(start->program_pem));
    mem_free(TAKE(start->directory));
    mem_free(TAKE(start->nodes_path));
    mem_free(TAKE(start->network_name));
    mem_free(TAKE(start->invitation));
    network_file_done(&start->network);
}

/* ---- init ---- */

static Err take_addresses(const Settings *settings, OwnAddresses *addresses, char **ret_error)
{
    Err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < settings->addresses_count; i++) {
        err = own_addresses_add(addresses, settings->addresses[i], settings->port, ret_error);
    }
    if (err == ERR_OK && addresses->count == 0) {
        own_addresses_find(addresses, settings->listen, settings->port);
    }
    return err;
}

/* What was written before it stays: a file somebody has prepared. */
static Err write_no_nodes(const char *directory, char **ret_error)
{
    AUTO_FREE char *path = network_nodes_path(directory);
    return access(path, F_OK) == 0 ? ERR_OK : network_write_nodes(directory, NULL, 0, ret_error);
}

static Err save_network(const char *directory, const uint8_t key[EVENT_KEY_BYTES],
                        const Settings *settings, const char *name, char **ret_error)
{
    uint8_t salt[SALT_BYTES];
    const char *reason = "";
    NetworkFile network = {.port = settings->port};
    snprintf(network.name, sizeof(network.name), "%s", name);
    randombytes_buf(salt, sizeof(salt));
    if (genesis_new(settings->network, key, salt, loop_wall_ms(), &network.genesis, &reason) !=
        ERR_OK) {
        return say_reason(ERR_INVALID, "the network's name", reason, ret_error);
    }
    network.proof = bytes_new("", 0);
    Err err = write_no_nodes(directory, ret_error);
    if (err == ERR_OK) {
        err = network_file_save(directory, &network, ret_error);
    }
    network_file_done(&network);
    return err;
}

static Err init_network(const Settings *settings, const char *directory, const char *name,
                        char **ret_invitation, char **ret_error)
{
    OwnAddresses addresses = {0};
    Err err = take_addresses(settings, &addresses, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    PreparedDir *prepared = NULL;
    err = prepared_dir_open(directory, NULL, &prepared, ret_error);
    if (err != ERR_OK) {
        return err;
    }
    EventSigner signer;
    event_signer_init(&signer, prepared_dir_seed(prepared));
    err = save_network(directory, signer.public_key, settings, name, ret_error);
    if (err == ERR_OK) {
        AUTO_STRBUF StrBuf line = {0};
        Invites *invites = invites_new(directory);
        err = invites_make(invites, signer.public_key, &addresses, INVITE_HOURS_DEFAULT,
                           loop_wall_ms(), &line, ret_error);
        invites_free(invites);
        if (err == ERR_OK) {
            *ret_invitation = strbuf_take(&line);
        }
    }
    event_signer_done(&signer);
    prepared_dir_close(prepared);
    return err;
}

/* ---- loading ---- */

/* The port is in the file for `chat_node invite`, which may know the directory alone. The name
 * stays the one by which the node has come in; an older file has none. */
static Err note_start(const Settings *settings, const char *name, NetworkStart *start,
                      char **ret_error)
{
    NetworkFile *network = &start->network;
    if (network->port == settings->port && network->name[0] != '\0') {
        return ERR_OK;
    }
    network->port = settings->port;
    if (network->name[0] == '\0') {
        snprintf(network->name, sizeof(network->name), "%s", name);
    }
    return network_file_save(start->directory, network, ret_error);
}

static Err check_genesis(NetworkStart *start, char **ret_error)
{
    const char *reason = "";
    Members *members = NULL;
    const Bytes *genesis = start->network.genesis;
    if (members_new(bytes_data(genesis), bytes_len(genesis), &members, &reason) != ERR_OK) {
        return say_reason(ERR_INVALID, "the file \"network\" in the data directory", reason,
                          ret_error);
    }
    start->network_name = mem_copy_string(members_network_name(members));
    members_free(members);
    return ERR_OK;
}

static Err load(const Settings *settings, const char *name, NetworkStart *start, char **ret_error)
{
    Err err = network_file_load(start->directory, &start->network, ret_error);
    if (err == ERR_NOT_FOUND) {
        start->nodes_path =
            mem_copy_string(settings->nodes_path != NULL ? settings->nodes_path : "nodes.json");
        return ERR_OK;
    }
    if (err == ERR_OK) {
        start->is_private = true;
        err = check_genesis(start, ret_error);
    }
    if (err == ERR_OK) {
        err = note_start(settings, name, start, ret_error);
    }
    if (err == ERR_OK) {
        err = network_program_pem(start->directory, &start->program_pem, ret_error);
    }
    if (err == ERR_OK) {
        start->nodes_path = settings->nodes_path != NULL ? mem_copy_string(settings->nodes_path)
                                                         : network_nodes_path(start->directory);
    }
    return err;
}

bool network_start_name(const Settings *settings, char ret_name[MESSAGE_SENDER_MAX_BYTES + 1])
{
    AUTO_FREE char *directory = NULL;
    AUTO_FREE char *error = NULL; /* network_start_open will meet it again, and say it */
    NetworkFile network = {0};
    if (settings->start != START_NODE ||
        data_dir_of(settings->data, settings->port, &directory, &error) != ERR_OK ||
        network_file_load(directory, &network, &error) != ERR_OK) {
        return false;
    }
    bool known = network.name[0] != '\0';
    if (known) {
        memcpy(ret_name, network.name, sizeof(network.name));
    }
    network_file_done(&network);
    return known;
}

Err network_start_open(const Settings *settings, const char *name, NetworkStart *ret_start,
                       char **ret_error)
{
    NetworkStart start = {0};
    Err err = data_dir_of(settings->data, settings->port, &start.directory, ret_error);
    if (err == ERR_OK && settings->start == START_INIT) {
        err = init_network(settings, start.directory, name, &start.invitation, ret_error);
    }
    if (err == ERR_OK && settings->start == START_JOIN) {
        err = network_join(settings, start.directory, name, ret_error);
    }
    if (err == ERR_OK) {
        err = load(settings, name, &start, ret_error);
    }
    if (err == ERR_OK) {
        *ret_start = start;
    } else {
        network_start_done(&start);
    }
    return err;
}

/* JSON with base64 in it: small, and to be looked at by people. */
#include "io/network_dir.h"

#include "base/strbuf.h"
#include "core/invite.h"
#include "core/members.h"
#include "io/gate.h"
#include "io/host.h"
#include "io/private_file.h"

#include <inttypes.h>
#include <jansson.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

enum { VERSION = 1, VARIANT = sodium_base64_VARIANT_ORIGINAL };

_Static_assert(GENESIS_MAX_BYTES + MEMBER_PROOF_MAX_BYTES < NETWORK_FILE_MAX_BYTES / 2,
               "a network file has room for what is in it");

void network_file_done(NetworkFile *network)
{
    bytes_unref(TAKE(network->genesis));
    bytes_unref(TAKE(network->proof));
}

/* ---- network ---- */

/* NULL: it is no base64, or too long. */
static Bytes *read_bytes(const json_t *object, const char *key, size_t max)
{
    const char *text = json_string_value(json_object_get(object, key));
    uint8_t data[MEMBER_PROOF_MAX_BYTES];
    size_t len = 0;
    if (text == NULL || max > sizeof(data) ||
        sodium_base642bin(data, max, text, strlen(text), NULL, &len, NULL, VARIANT) != 0) {
        return NULL;
    }
    return bytes_new(data, len);
}

/* It may have been written by hand, or by a version that did not keep it. */
static void read_name(const json_t *root, NetworkFile *network)
{
    const char *name = json_string_value(json_object_get(root, "name"));
    const char *reason = "";
    if (name != NULL && message_check_name(name, strlen(name), &reason) == ERR_OK) {
        snprintf(network->name, sizeof(network->name), "%s", name);
    }
}

static Err parse(const char *path, const PrivateText *text, NetworkFile *ret_network,
                 char **ret_error)
{
    json_error_t error;
    json_t *root = json_loadb(text->text, text->len, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL) {
        *ret_error = strbuf_format("%s:%d:%d: %s", path, error.line, error.column, error.text);
        return ERR_INVALID;
    }
    Err err = ERR_OK;
    json_int_t port = json_integer_value(json_object_get(root, "port"));
    NetworkFile network = {.genesis = read_bytes(root, "genesis", GENESIS_MAX_BYTES),
                           .proof = read_bytes(root, "proof", MEMBER_PROOF_MAX_BYTES),
                           .port = port > 0 && port <= UINT16_MAX ? (uint16_t)port : 0};
    read_name(root, &network);
    if (json_integer_value(json_object_get(root, "version")) != VERSION) {
        *ret_error = strbuf_format("%s is of a later version of chat_node: take that one", path);
        err = ERR_INVALID;
    } else if (network.genesis == NULL || network.proof == NULL) {
        *ret_error = strbuf_format(
            "%s is not what chat_node writes: put its copy back, or move it away and join again",
            path);
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        *ret_network = network;
    } else {
        network_file_done(&network);
    }
    json_decref(root);
    return err;
}

Err network_file_load(const char *directory, NetworkFile *ret_network, char **ret_error)
{
    AUTO_FREE char *path = private_path(directory, "network");
    PrivateText text = {0};
    Err err = private_file_read(path, NETWORK_FILE_MAX_BYTES, &text, ret_error);
    if (err == ERR_OK) {
        err = parse(path, &text, ret_network, ret_error);
        private_text_done(&text);
    }
    return err;
}

static void set_bytes(json_t *object, const char *key, const Bytes *bytes)
{
    size_t size = sodium_base64_ENCODED_LEN(bytes_len(bytes), VARIANT);
    AUTO_FREE char *text = mem_alloc(size);
    sodium_bin2base64(text, size, bytes_data(bytes), bytes_len(bytes), VARIANT);
    json_object_set_new_nocheck(object, key, json_string_nocheck(text));
}

/* Takes root. */
static Err write_json(const char *path, json_t *root, char **ret_error)
{
    char *text = json_dumps(root, JSON_INDENT(2));
    json_decref(root);
    Err err = private_file_write(path, text, strlen(text), ret_error);
    free(text); /* NOLINT: jansson's */
    return err;
}

Err network_file_save(const char *directory, const NetworkFile *network, char **ret_error)
{
    AUTO_FREE char *path = private_path(directory, "network");
    json_t *root = json_object();
    json_object_set_new_nocheck(root, "version", json_integer(VERSION));
    json_object_set_new_nocheck(root, "port", json_integer(network->port));
    json_object_set_new_nocheck(root, "name", json_string_nocheck(network->name));
    set_bytes(root, "genesis", network->genesis);
    set_bytes(root, "proof", network->proof);
    return write_json(path, root, ret_error);
}

/* ---- nodes.json ---- */

char *network_nodes_path(const char *directory)
{
    return private_path(directory, "nodes.json");
}

static bool is_in(const json_t *rows, const json_t *row)
{
    for (size_t i = 0; i < json_array_size(rows); i++) {
        if (json_equal(json_array_get(rows, i), row)) {
            return true;
        }
    }
    return false;
}

static void add_node(json_t *rows, const char *node)
{
    char host[INVITE_ADDRESS_MAX_BYTES + 1];
    uint16_t port = 0;
    const char *reason = "";
    if (json_array_size(rows) == NETWORK_NODES_MAX || strlen(node) > INVITE_ADDRESS_MAX_BYTES ||
        address_split(node, host, &port) != ERR_OK ||
        host_check(host, strlen(host), &reason) != ERR_OK) {
        return;
    }
    json_t *row = json_object();
    json_object_set_new_nocheck(row, "host", json_string_nocheck(host));
    json_object_set_new_nocheck(row, "port", json_integer(port));
    if (is_in(rows, row)) {
        json_decref(row);
    } else {
        json_array_append_new(rows, row);
    }
}

Err network_write_nodes(const char *directory, const char *const *nodes, size_t count,
                        char **ret_error)
{
    AUTO_FREE char *path = network_nodes_path(directory);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++) {
        add_node(rows, nodes[i]);
    }
    return write_json(path, rows, ret_error);
}

/* ---- program.pem ---- */

static Err make_pem(const char *path, char **ret_pem, char **ret_error)
{
    char *pem = gate_program_certificate();
    Err err = private_file_write(path, pem, strlen(pem), ret_error);
    if (err == ERR_OK) {
        *ret_pem = pem;
        return ERR_OK;
    }
    sodium_memzero(pem, strlen(pem));
    mem_free(pem);
    return err;
}

Err network_program_pem(const char *directory, char **ret_pem, char **ret_error)
{
    AUTO_FREE char *path = private_path(directory, "program.pem");
    PrivateText text = {0};
    Err err = private_file_read(path, PROGRAM_PEM_MAX_BYTES, &text, ret_error);
    if (err == ERR_NOT_FOUND) {
        return make_pem(path, ret_pem, ret_error);
    }
    if (err == ERR_OK) {
        *ret_pem = TAKE(text.text);
    }
    return err;
}

/* ---- identity ---- */

Err network_own_key(const char *directory, uint8_t ret_key[EVENT_KEY_BYTES], char **ret_error)
{
    AUTO_FREE char *path = private_path(directory, "identity");
    PrivateText seed = {0};
    Err err = private_file_read(path, EVENT_SEED_BYTES, &seed, ret_error);
    if (err == ERR_NOT_FOUND) {
        *ret_error = strbuf_format("%s: no node has kept anything there yet", directory);
    }
    if (err == ERR_OK && seed.len != EVENT_SEED_BYTES) {
        *ret_error = strbuf_format("%s has %zu bytes where a node's identity has %d", path,
                                   seed.len, EVENT_SEED_BYTES);
        err = ERR_INVALID;
    }
    if (err == ERR_OK) {
        EventSigner signer;
        event_signer_init(&signer, (const uint8_t *)seed.text);
        memcpy(ret_key, signer.public_key, EVENT_KEY_BYTES);
        event_signer_done(&signer);
    }
    private_text_done(&seed);
    return err;
}

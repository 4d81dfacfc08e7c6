/* id, invite, members, revoke: who this node is, and who is in its network.
 *
 *   invite, members, revoke --> the node that runs (io/owner_call.h), as if typed there
 *                 where none runs: `invites`, the log, or word to start it */
#include "face/tool_impl.h"

#include "base/moment.h"
#include "base/text.h"
#include "core/members.h"
#include "face/qr.h"
#include "io/invites.h"
#include "io/network_dir.h"
#include "io/owner_call.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const char INVITATION[] = "CHAT1-";

static bool has_color(void)
{
    const char *no_color = getenv("NO_COLOR");
    return isatty(STDOUT_FILENO) && (no_color == NULL || no_color[0] == '\0');
}

static void add_line(Tool *tool, const char *text)
{
    text_sanitise(&tool->out, text, strlen(text));
    strbuf_add_char(&tool->out, '\n');
}

/* Of a command that opens no store. */
static void put_out(Tool *tool)
{
    fputs(strbuf_text(&tool->out), stdout);
    strbuf_clear(&tool->out);
    if (fflush(stdout) != 0) {
        tool_fail(tool, "standard output: %m");
    }
}

/* The exit code says how it went; where the node has said nothing, so do words. */
static void take_verdict(Tool *tool, const OwnerAnswer *answer)
{
    if (!answer->ok && answer->lines_count == 0) {
        tool_note(tool, "the node did not do it, and gives no reason");
    }
    tool->exit_code = answer->ok ? 0 : TOOL_EXIT_FAILURE;
}

/* NULL: there is none, or it is no good, which was said then. */
static Members *load_members(Tool *tool, NetworkFile *network)
{
    AUTO_FREE char *error = NULL;
    const char *reason = "";
    Members *members = NULL;
    Err err = network_file_load(tool->directory, network, &error);
    if (err == ERR_NOT_FOUND) {
        return NULL;
    }
    if (err != ERR_OK) {
        tool_fail(tool, "%s", error);
        return NULL;
    }
    if (members_new(bytes_data(network->genesis), bytes_len(network->genesis), &members, &reason) !=
        ERR_OK) {
        tool_fail(tool, "%s/network: %s", tool->directory, reason);
    }
    return members;
}

static void fail_open_mode(Tool *tool)
{
    if (tool->exit_code == 0) {
        tool_fail(tool,
                  "%s is of no private network: make one with chat_node init, or join one with "
                  "chat_node join",
                  tool->directory);
    }
}

/* ---- id ---- */

static void show_certificate(Tool *tool)
{
    static const char begin[] = "-----BEGIN CERTIFICATE-----";
    AUTO_FREE char *error = NULL;
    char *pem = NULL;
    if (network_program_pem(tool->directory, &pem, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    const char *certificate = strstr(pem, begin); /* the key stands before it */
    if (certificate == NULL) {
        tool_fail(tool, "%s/program.pem has no certificate: move it away, and a new one is made",
                  tool->directory);
    } else {
        strbuf_add_string(&tool->out, certificate);
        put_out(tool);
    }
    sodium_memzero(pem, strlen(pem));
    mem_free(pem);
}

void tool_id(Tool *tool)
{
    AUTO_FREE char *error = NULL;
    uint8_t key[EVENT_KEY_BYTES];
    char hex[2 * EVENT_KEY_BYTES + 1];
    char fingerprint[FINGERPRINT_BYTES];
    if (network_own_key(tool->directory, key, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    if (tool->options.certificate) {
        show_certificate(tool);
        return;
    }
    NetworkFile network = {0};
    Members *members = load_members(tool, &network);
    sodium_bin2hex(hex, sizeof(hex), key, sizeof(key));
    fingerprint_text(key, fingerprint);
    strbuf_addf(&tool->out, "id           %s\nfingerprint  %s\nnetwork      ", hex, fingerprint);
    add_line(tool, members != NULL ? members_network_name(members) : "none: open mode");
    members_free(members);
    network_file_done(&network);
    if (tool->exit_code == 0) {
        put_out(tool);
    }
}

/* ---- invite ---- */

static void show_invitation(Tool *tool, const char *line)
{
    add_line(tool, line);
    qr_write_for(&tool->out, line, has_color(), STDOUT_FILENO);
}

/* The line for standard output; what the node says about it is beside. */
static void show_invite_answer(Tool *tool, const OwnerAnswer *answer)
{
    for (size_t i = 0; i < answer->lines_count; i++) {
        const char *found = strstr(answer->lines[i], INVITATION);
        if (answer->ok && found != NULL) {
            AUTO_FREE char *line = mem_copy_text(found, strcspn(found, " \t\n"));
            show_invitation(tool, line);
        } else {
            tool_note(tool, "%s", answer->lines[i]);
        }
    }
    take_verdict(tool, answer);
    put_out(tool);
}

static void tell_how_to_join(Tool *tool, unsigned hours)
{
    tool_note(tool, "good for one person, for %u hours; on the other machine: chat_node join LINE",
              hours);
}

static Err take_addresses(Tool *tool, uint16_t port, OwnAddresses *addresses, char **ret_error)
{
    const ToolOptions *options = &tool->options;
    Err err = ERR_OK;
    for (size_t i = 0; err == ERR_OK && i < options->addresses_count; i++) {
        err = own_addresses_add(addresses, options->addresses[i], port, ret_error);
    }
    if (err == ERR_OK && addresses->count == 0) {
        own_addresses_find(addresses, NULL, port);
    }
    return err;
}

/* The node reads the file when somebody comes with the invitation. */
static void invite_stopped(Tool *tool, const NetworkFile *network)
{
    AUTO_FREE char *error = NULL;
    AUTO_STRBUF StrBuf line = {0};
    OwnAddresses addresses = {0};
    uint8_t key[EVENT_KEY_BYTES];
    unsigned hours = tool->options.hours != 0 ? tool->options.hours : INVITE_HOURS_DEFAULT;
    uint16_t port = tool->options.port != 0 ? tool->options.port : network->port;
    Invites *invites = invites_new(tool->directory);
    Err err = take_addresses(tool, port, &addresses, &error);
    if (err == ERR_OK) {
        err = network_own_key(tool->directory, key, &error);
    }
    if (err == ERR_OK) {
        err = invites_make(invites, key, &addresses, hours, loop_wall_ms(), &line, &error);
    }
    invites_free(invites);
    if (err != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    show_invitation(tool, line.text);
    tell_how_to_join(tool, hours);
    tool_note(tool, "the node does not run: start it (chat_node %u) before the invitation is used",
              (unsigned)port);
    put_out(tool);
}

void tool_invite(Tool *tool)
{
    const ToolOptions *options = &tool->options;
    AUTO_FREE char *error = NULL;
    AUTO_STRBUF StrBuf line = {0};
    OwnerAnswer answer = {0};
    NetworkFile network = {0};
    Members *members = load_members(tool, &network);
    if (members == NULL) {
        fail_open_mode(tool);
        return;
    }
    members_free(members);
    strbuf_add_string(&line, "/invite");
    if (options->hours != 0 || options->addresses_count > 0) {
        strbuf_addf(&line, " %u", options->hours != 0 ? options->hours : INVITE_HOURS_DEFAULT);
    }
    for (size_t i = 0; i < options->addresses_count; i++) {
        strbuf_addf(&line, " %s", options->addresses[i]);
    }
    Err err = owner_call(tool->directory, line.text, &answer, &error);
    if (err == ERR_OK) {
        show_invite_answer(tool, &answer);
    } else if (err == ERR_NOT_FOUND) {
        invite_stopped(tool, &network);
    } else {
        tool_fail(tool, "%s", error);
    }
    owner_answer_done(&answer);
    network_file_done(&network);
}

/* ---- members ---- */

static void add_member(Tool *tool, const Members *members, const Member *member)
{
    char fingerprint[FINGERPRINT_BYTES];
    char since[MOMENT_TEXT_BYTES];
    fingerprint_text(member->key, fingerprint);
    strbuf_add_string(&tool->out, fingerprint);
    if (memcmp(member->key, members_founder(members), EVENT_KEY_BYTES) == 0) {
        strbuf_add_string(&tool->out, "  founder\n"); /* whom nobody has let in under a name */
        return;
    }
    strbuf_add_string(&tool->out, "  ");
    text_sanitise(&tool->out, member->name, strlen(member->name));
    fingerprint_text(member->inviter, fingerprint);
    moment_text(member->since_ms, since);
    strbuf_addf(&tool->out, "  let in by %s, %s%s\n", fingerprint, since,
                member->revoked ? ", revoked" : "");
}

/* As the log on the disk has them. */
static void members_of_log(Tool *tool, Members *members, const NetworkFile *network)
{
    const char *reason = "";
    AUTO_FREE char *error = NULL;
    uint8_t key[EVENT_KEY_BYTES];
    size_t count = 0;
    LogEvent *const *events = store_control_events(tool->store, &count);
    for (size_t i = 0; i < count; i++) {
        members_take(members, events[i]);
    }
    /* One that has joined and not yet heard of the others knows of itself. */
    if (bytes_len(network->proof) > 0 && network_own_key(tool->directory, key, &error) == ERR_OK &&
        members_take_proof(members, key, bytes_data(network->proof), bytes_len(network->proof),
                           &reason) != ERR_OK) {
        tool_note(tool, "this node's own proof: %s", reason);
    }
    for (size_t i = 0; i < members_count(members); i++) {
        add_member(tool, members, members_at(members, i));
    }
}

void tool_members(Tool *tool)
{
    AUTO_FREE char *error = NULL;
    OwnerAnswer answer = {0};
    NetworkFile network = {0};
    Members *members = load_members(tool, &network);
    if (members == NULL) {
        fail_open_mode(tool);
        return;
    }
    if (owner_call(tool->directory, "/members", &answer, &error) == ERR_OK && answer.ok) {
        for (size_t i = 0; i < answer.lines_count; i++) {
            add_line(tool, answer.lines[i]);
        }
    } else {
        members_of_log(tool, members, &network);
    }
    owner_answer_done(&answer);
    members_free(members);
    network_file_done(&network);
    tool_end(tool);
}

/* ---- revoke ---- */

/* The node's own members have to hear of it, so that it runs is the point. */
void tool_revoke(Tool *tool)
{
    AUTO_FREE char *error = NULL;
    AUTO_STRBUF StrBuf line = {0};
    OwnerAnswer answer = {0};
    NetworkFile network = {0};
    Members *members = load_members(tool, &network);
    if (members == NULL) {
        fail_open_mode(tool);
        return;
    }
    members_free(members);
    network_file_done(&network);
    strbuf_addf(&line, "/revoke %s", tool->options.words);
    if (tool->options.since_text != NULL) {
        strbuf_addf(&line, " since %s", tool->options.since_text);
    }
    if (owner_call(tool->directory, line.text, &answer, &error) != ERR_OK) {
        tool_fail(tool, "%s", error);
        return;
    }
    for (size_t i = 0; i < answer.lines_count; i++) {
        if (answer.ok) {
            add_line(tool, answer.lines[i]);
        } else {
            tool_note(tool, "%s", answer.lines[i]);
        }
    }
    take_verdict(tool, &answer);
    owner_answer_done(&answer);
    put_out(tool);
}

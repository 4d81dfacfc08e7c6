/* What is sealed, for the commands that read the log: with the node's identity, where whoever asks
 * may read it. */
#include "face/tool_impl.h"

#include "core/members.h"
#include "io/network_dir.h"

#include <string.h>

typedef struct ToolSeals {
    Keyring *keyring;
    Members *members;
} ToolSeals;

static const char *name_of(void *context, const uint8_t key[EVENT_KEY_BYTES])
{
    const ToolSeals *seals = context;
    const Member *member = members_find(seals->members, key);
    return member != NULL ? member->name : NULL;
}

static Members *load_members(const Tool *tool)
{
    NetworkFile network = {0};
    Members *members = NULL;
    char *error = NULL;
    const char *reason = "";
    Err err = network_file_load(tool->directory, &network, &error);
    if (err == ERR_OK) {
        err =
            members_new(bytes_data(network.genesis), bytes_len(network.genesis), &members, &reason);
    }
    mem_free(error);
    network_file_done(&network);
    return err == ERR_OK ? members : NULL;
}

void tool_open_seals(Tool *tool)
{
    size_t count = 0;
    const uint8_t *seed = store_seed(tool->store);
    LogEvent *const *events = store_control_events(tool->store, &count);
    Members *members = seed != NULL ? load_members(tool) : NULL;
    if (members == NULL) {
        return;
    }
    ToolSeals *seals = mem_new(ToolSeals);
    seals->members = members;
    seals->keyring = keyring_new(seed, members_network(members));
    KeyringPeople people = {.name = name_of, .context = seals};
    keyring_set_people(seals->keyring, &people);
    for (size_t i = 0; i < count; i++) {
        (void)members_take(members, events[i]);
        (void)keyring_take(seals->keyring, events[i]);
    }
    tool->seals = seals;
}

void tool_close_seals(Tool *tool)
{
    if (tool->seals != NULL) {
        keyring_free(tool->seals->keyring);
        members_free(tool->seals->members);
        mem_free(TAKE(tool->seals));
    }
}

LogEvent *tool_open_event(Tool *tool, LogEvent *event)
{
    return keyring_open(tool->seals != NULL ? tool->seals->keyring : NULL, event);
}

/* Of the conversation with the first member of that name. */
static bool find_talk(const ToolSeals *seals, const char *name,
                      char ret_id[EVENT_ROOM_MAX_BYTES + 1])
{
    for (size_t i = 0; i < members_count(seals->members); i++) {
        const Member *member = members_at(seals->members, i);
        char fingerprint[FINGERPRINT_BYTES];
        fingerprint_text(member->key, fingerprint);
        if (strcmp(member->name, name) == 0 || strcmp(fingerprint, name) == 0) {
            keyring_talk_id(seals->keyring, member->key, ret_id);
            return true;
        }
    }
    return false;
}

bool tool_room_id(Tool *tool, const char *room, char ret_id[EVENT_ROOM_MAX_BYTES + 1])
{
    const ToolSeals *seals = tool->seals;
    bool found = true;
    if (seals != NULL && room[0] == '!') {
        const SealedRoom *sealed = keyring_room_shown(seals->keyring, room, strlen(room));
        found = sealed != NULL;
        snprintf(ret_id, EVENT_ROOM_MAX_BYTES + 1, "%s", found ? sealed->id : "");
    } else if (seals != NULL && room[0] == '@') {
        found = find_talk(seals, room + 1, ret_id);
    } else {
        snprintf(ret_id, EVENT_ROOM_MAX_BYTES + 1, "%s", room);
    }
    if (!found) {
        tool_fail(tool, "no room %s that this node was let into", room);
    }
    return found;
}

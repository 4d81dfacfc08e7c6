/* Invitations as people paste them. What reads must write as a line that reads the same. */
#include "core/invite.h"
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static void check_again(const Invite *invite)
{
    AUTO_STRBUF StrBuf line = {0};
    Invite again;
    const char *reason = NULL;
    invite_write(invite, &line);
    if (line.len > INVITE_LINE_MAX_BYTES ||
        invite_read(line.text, line.len, &again, &reason) != ERR_OK ||
        memcmp(again.secret, invite->secret, sizeof(again.secret)) != 0 ||
        again.addresses_count != invite->addresses_count) {
        abort();
    }
}

/* NOLINTNEXTLINE(readability-identifier-naming): the library's name */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Invite invite;
    const char *reason = NULL;
    if (invite_read((const char *)data, size, &invite, &reason) == ERR_OK) {
        check_again(&invite);
    } else if (reason == NULL) {
        abort();
    }
    AUTO_FREE char *text = mem_copy_text((const char *)data, size);
    char host[INVITE_ADDRESS_MAX_BYTES + 1];
    uint16_t port = 0;
    if (address_split(text, host, &port) == ERR_OK && (port == 0 || host[0] == '\0')) {
        abort();
    }
    return 0;
}

/* Joining a private network by an invitation. */
#pragma once

#include "face/settings.h"

/* Tries the invitation's addresses, and writes what the node there has said into directory. Errors
 * as of network_start_open. */
Err network_join(const Settings *settings, const char *directory, const char *name,
                 char **ret_error);

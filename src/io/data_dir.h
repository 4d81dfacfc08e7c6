/* Where a node keeps its data: --data DIR, or by its port in the place that the XDG Base Directory
 * Specification (0.8) gives to a user's data:
 *
 *   $XDG_DATA_HOME/chat_node/PORT, by default $HOME/.local/share/chat_node/PORT
 *
 * An unset, empty or relative variable says nothing, as that specification wants it. Nothing is
 * made here: store_open makes the directory. */
#pragma once

#include "base/err.h"

#include <stdint.h>

/* The data directory of the node with that port. given: --data, or NULL. The caller owns *ret_path;
 * on failure *ret_text, which says what to do.
 * ERR_INVALID: given is empty. ERR_NOT_FOUND: neither XDG_DATA_HOME nor HOME says where. */
Err data_dir_of(const char *given, uint16_t port, char **ret_path, char **ret_text);

/* For commands without a port: the only one there is, as for data_dir_of.
 * ERR_NOT_FOUND: there is none, too; the text names the place looked in. ERR_EXISTS: there are
 * several; the text lists them, and how to choose. ERR_DENIED, ERR_IO: the place cannot be read. */
Err data_dir_find(const char *given, char **ret_path, char **ret_text);

/* `chat_node COMMAND ...`: reads, copies or changes what a node keeps, beside it or without it.
 *
 *   chat_node history | search | export | backup | restore   [PORT] [OPTIONS]
 *   chat_node id | invite | members | revoke | token
 *
 * No node is started. Where one runs, invite, members and revoke are its own commands, which it is
 * asked to carry out. All that open the store but restore open it read_only. */
#pragma once

#include "base/strbuf.h"

#include <stdbool.h>

/* Is that first argument the name of a command? NULL is not. */
bool tool_is_command(const char *word);

/* Runs the command that argv[1] names, and returns the program's exit code: 0, 1 (failure) or 2
 * (wrong usage). Nothing else may run in the process; sodium_init has been called. */
int tool_main(int argc, char **argv);

/* A line for each command, for --help of the program itself. */
void tool_add_summary(StrBuf *out);

/* What a node asks of the system for itself, before it has anything to hide. */
#pragma once

#include <stdbool.h>

/* From now on no other program of the same user reads this one's memory (ptrace(2), /proc/PID/mem),
 * a crash leaves no image of it on a disk, and files that are made are for their owner alone. The
 * environment variable CHAT_NODE_DEBUG, where it is not empty, leaves out the first two: for
 * debuggers. So do the sanitizers. Returns whether they are in force. */
bool process_keep_private(void);

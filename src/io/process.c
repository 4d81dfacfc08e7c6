/* Three calls of the system: umask(2), setrlimit(2), prctl(2).
 *
 * The identity's seed is in memory while the node runs, and so is what is said in sealed rooms. Of
 * what root reads, and of what is swapped out, nothing here protects. */
#include "io/process.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>

enum { OWNER_ALONE = 077 };

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED true
#endif
#endif
#ifndef SANITIZED
#define SANITIZED false
#endif

static bool is_debugged(void)
{
    const char *value = getenv("CHAT_NODE_DEBUG");
    return value != NULL && value[0] != '\0';
}

bool process_keep_private(void)
{
    umask(OWNER_ALONE);
    if (SANITIZED || is_debugged()) {
        return false;
    }
    /* A system that hands crashes to a program (a pipe in core_pattern) passes over the limit;
     * what is not dumpable it is not given. */
    static const struct rlimit none = {0};
    bool done = setrlimit(RLIMIT_CORE, &none) == 0;
    done = prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) == 0 && done;
    if (!done) {
        log_warning("a crash may leave this program's memory on the disk: %s", strerror(errno));
    }
    return done;
}

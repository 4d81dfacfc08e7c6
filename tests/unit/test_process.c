/* What the system does with a process that keeps itself private. */
#include "io/process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

/* In a child, since nothing of it can be taken back. It tells by its exit code: 0 is good, others
 * are the line. */
#define CHILD_WANTS(what)                                                                          \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            _exit(__LINE__ & 0x7f);                                                                \
        }                                                                                          \
    } while (0)

static int run_child(void (*child)(const char *path), const char *path)
{
    pid_t pid = fork();
    if (pid == 0) {
        child(path);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void keep_private(const char *path)
{
    struct rlimit limit;
    struct stat status;
    unsetenv("CHAT_NODE_DEBUG");
    umask(0);
    bool in_force = process_keep_private();
    CHILD_WANTS(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == (in_force ? 0 : 1));
    CHILD_WANTS(getrlimit(RLIMIT_CORE, &limit) == 0);
    CHILD_WANTS(!in_force || (limit.rlim_cur == 0 && limit.rlim_max == 0));
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    CHILD_WANTS(fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0600);
}

static void let_a_debugger_in(const char *path)
{
    struct stat status;
    setenv("CHAT_NODE_DEBUG", "1", 1);
    umask(0);
    CHILD_WANTS(!process_keep_private());
    CHILD_WANTS(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    CHILD_WANTS(fd >= 0 && fstat(fd, &status) == 0 && (status.st_mode & 0777) == 0600);
}

static void in_a_folder(void (*child)(const char *path))
{
    char folder[] = "/tmp/chat-test-XXXXXX";
    char path[sizeof(folder) + 8];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof(path), "%s/file", folder);
    int code = run_child(child, path);
    unlink(path);
    rmdir(folder);
    assert_int_equal(code, 0);
}

static void private_process_leaves_no_image_and_no_open_file(void **state)
{
    (void)state;
    in_a_folder(keep_private);
}

static void debugger_is_let_in_where_the_environment_says_so(void **state)
{
    (void)state;
    in_a_folder(let_a_debugger_in);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(private_process_leaves_no_image_and_no_open_file),
        cmocka_unit_test(debugger_is_let_in_where_the_environment_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

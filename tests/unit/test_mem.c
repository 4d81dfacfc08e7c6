/* Memory that is never NULL, ownership handed over, bytes shared between threads. */
#include "base/mem.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit.h"

static void new_memory_is_zeroed(void **state)
{
    (void)state;
    typedef struct Pair {
        uint64_t a, b;
    } Pair;
    Pair *pair = mem_new(Pair);
    assert_int_equal(pair->a, 0);
    assert_int_equal(pair->b, 0);
    mem_free(pair);

    uint32_t *numbers = mem_array(1000, sizeof(*numbers));
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(numbers[i], 0);
    }
    mem_free(numbers);
}

static void nothing_asked_for_is_still_not_null(void **state)
{
    (void)state;
    void *nothing = mem_alloc(0);
    assert_non_null(nothing);
    mem_free(nothing);
    nothing = mem_array(0, 8);
    assert_non_null(nothing);
    mem_free(nothing);
    mem_free(NULL);
}

static void resize_keeps_what_was_there(void **state)
{
    (void)state;
    char *text = mem_resize(NULL, 4, 1);
    memcpy(text, "abc", 4);
    text = mem_resize(text, 100000, 1);
    assert_string_equal(text, "abc");
    text = mem_resize(text, 2, 1);
    assert_memory_equal(text, "ab", 2);
    mem_free(text);
}

static void copies_are_ended_and_their_own(void **state)
{
    (void)state;
    char source[] = {'a', 'b', '\0', 'c'};
    char *copy = mem_copy_text(source, sizeof(source));
    source[0] = 'x';
    assert_memory_equal(copy, "ab\0c", 5);
    mem_free(copy);
    copy = mem_copy_text(NULL, 0);
    assert_string_equal(copy, "");
    mem_free(copy);
    copy = mem_copy_string("hello");
    assert_string_equal(copy, "hello");
    mem_free(copy);
}

static void take_leaves_null_behind(void **state)
{
    (void)state;
    AUTO_FREE char *owner = mem_copy_string("mine");
    const char *before = owner;
    AUTO_FREE char *next = TAKE(owner);
    assert_null(owner);
    assert_ptr_equal(next, before);
}

static void running_out_aborts(void **state)
{
    (void)state;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGABRT, SIG_DFL);
        close(STDERR_FILENO);
        /* A product that overflows: no allocator can grant it, sanitizers included. */
        mem_free(mem_resize(NULL, SIZE_MAX / 2, 3));
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_false(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void bytes_are_a_copy(void **state)
{
    (void)state;
    char source[] = "hello";
    Bytes *bytes = bytes_new(source, 5);
    source[0] = 'x';
    assert_int_equal(bytes_len(bytes), 5);
    assert_memory_equal(bytes_data(bytes), "hello", 5);
    bytes_unref(bytes);

    bytes = bytes_new(NULL, 0);
    assert_int_equal(bytes_len(bytes), 0);
    bytes_unref(bytes);
    bytes_unref(NULL);
}

static void bytes_can_be_filled_before_they_are_shared(void **state)
{
    (void)state;
    Bytes *bytes = bytes_new_empty(3);
    memcpy(bytes_fill(bytes), "abc", 3);
    Bytes *second = bytes_ref(bytes);
    assert_ptr_equal(second, bytes);
    bytes_unref(bytes);
    assert_memory_equal(bytes_data(second), "abc", 3); /* the last one frees, not the first */
    bytes_unref(second);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *ref_and_unref(void *argument)
{
    Bytes *bytes = argument;
    for (int i = 0; i < ROUNDS; i++) {
        Bytes *mine = bytes_ref(bytes);
        if (bytes_data(mine)[0] != 'x') {
            return bytes;
        }
        bytes_unref(mine);
    }
    bytes_unref(bytes); /* the reference that was made for this thread */
    return NULL;
}

static void bytes_are_counted_right_from_many_threads(void **state)
{
    (void)state;
    Bytes *bytes = bytes_new("x", 1);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, ref_and_unref, bytes_ref(bytes)), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *wrong = NULL;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_memory_equal(bytes_data(bytes), "x", 1);
    bytes_unref(bytes); /* a leak or a second free is for the sanitizers to see */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_memory_is_zeroed),
        cmocka_unit_test(nothing_asked_for_is_still_not_null),
        cmocka_unit_test(resize_keeps_what_was_there),
        cmocka_unit_test(copies_are_ended_and_their_own),
        cmocka_unit_test(take_leaves_null_behind),
        cmocka_unit_test(running_out_aborts),
        cmocka_unit_test(bytes_are_a_copy),
        cmocka_unit_test(bytes_can_be_filled_before_they_are_shared),
        cmocka_unit_test(bytes_are_counted_right_from_many_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

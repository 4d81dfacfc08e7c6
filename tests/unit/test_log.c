/* The log: levels, sinks, and standard error that nobody reads. */
#include "base/log.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/strbuf.h"
#include "unit.h"

/* Standard error, caught in a pipe. */
typedef struct Catch {
    int saved;
    int read_end;
} Catch;

static Catch catch_stderr(void)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    Catch caught = {.saved = dup(STDERR_FILENO), .read_end = ends[0]};
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    close(ends[1]);
    assert_int_equal(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    return caught;
}

static void read_caught(const Catch *caught, StrBuf *out)
{
    char piece[4096];
    ssize_t len = 0;
    while ((len = read(caught->read_end, piece, sizeof(piece))) > 0) {
        strbuf_add(out, piece, (size_t)len);
    }
}

static void release_stderr(Catch *caught)
{
    dup2(caught->saved, STDERR_FILENO);
    close(caught->saved);
    close(caught->read_end);
    log_set_level(LOG_WARNING);
}

static void level_decides_what_is_written(void **state)
{
    (void)state;
    Catch caught = catch_stderr();
    AUTO_STRBUF StrBuf out = {0};
    log_error("e%d", 1);
    log_warning("w");
    log_info("i");
    log_debug("d");
    log_set_level(LOG_DEBUG);
    log_debug("D");
    read_caught(&caught, &out);
    release_stderr(&caught);
    assert_non_null(strstr(strbuf_text(&out), " error: e1\n"));
    assert_non_null(strstr(strbuf_text(&out), " warning: w\n"));
    assert_null(strstr(strbuf_text(&out), " info: i\n"));
    assert_null(strstr(strbuf_text(&out), " debug: d\n"));
    assert_non_null(strstr(strbuf_text(&out), " debug: D\n"));
    assert_int_equal(strcspn(out.text, "."), strlen("2026-11-22 16:00:00"));
}

static void controls_are_shown(void **state)
{
    (void)state;
    Catch caught = catch_stderr();
    AUTO_STRBUF StrBuf out = {0};
    log_error("a%sb", "\033[2J\n\xff");
    read_caught(&caught, &out);
    release_stderr(&caught);
    assert_non_null(strstr(strbuf_text(&out), "error: a␛[2J␊<FF>b\n"));
}

static void nobody_reading_does_not_block(void **state)
{
    (void)state;
    Catch caught = catch_stderr();
    AUTO_STRBUF StrBuf out = {0};
    for (int i = 0; i < 3000; i++) {
        log_error("line %0100d", i);
    }
    read_caught(&caught, &out);
    assert_non_null(strstr(strbuf_text(&out), "line 0000"));
    strbuf_clear(&out);
    log_error("after");
    read_caught(&caught, &out);
    release_stderr(&caught);
    assert_non_null(strstr(strbuf_text(&out), "lines before were dropped"));
    assert_non_null(strstr(strbuf_text(&out), "after\n"));
}

static void long_line_is_cut(void **state)
{
    (void)state;
    Catch caught = catch_stderr();
    AUTO_STRBUF StrBuf out = {0};
    log_error("%010000d", 7);
    read_caught(&caught, &out);
    release_stderr(&caught);
    assert_int_equal(out.len, 4096);
    assert_int_equal(out.text[4095], '\n');
}

typedef struct Sunk {
    int count;
    LogLevel level;
    char last[100];
} Sunk;

static void sink(void *context, LogLevel level, const char *line)
{
    Sunk *sunk = context;
    sunk->count++;
    sunk->level = level;
    snprintf(sunk->last, sizeof(sunk->last), "%s", line);
}

static void sink_gets_the_lines_instead(void **state)
{
    (void)state;
    Catch caught = catch_stderr();
    AUTO_STRBUF StrBuf out = {0};
    Sunk sunk = {0};
    log_set_sink(sink, &sunk);
    log_warning("to the %s", "sink");
    log_set_sink(NULL, NULL);
    log_warning("to stderr");
    read_caught(&caught, &out);
    release_stderr(&caught);
    assert_int_equal(sunk.count, 1);
    assert_int_equal(sunk.level, LOG_WARNING);
    assert_string_equal(sunk.last, "to the sink");
    assert_null(strstr(strbuf_text(&out), "sink"));
    assert_non_null(strstr(strbuf_text(&out), "to stderr"));
}

static void *log_hundred(void *argument)
{
    (void)argument;
    for (int i = 0; i < 100; i++) {
        log_error("from a thread");
    }
    return NULL;
}

static void threads_do_not_mix_their_lines(void **state)
{
    (void)state;
    pthread_t threads[4];
    Sunk sunk = {0};
    log_set_sink(sink, &sunk);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_hundred, NULL), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    log_set_sink(NULL, NULL);
    assert_int_equal(sunk.count, 400);
}

static void level_names_are_parsed(void **state)
{
    (void)state;
    LogLevel level = LOG_INFO;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_false(log_level_parse("loud", &level));
    assert_false(log_level_parse("", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_string_equal(log_level_name(LOG_WARNING), "warning");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(level_decides_what_is_written),
        cmocka_unit_test(controls_are_shown),
        cmocka_unit_test(nobody_reading_does_not_block),
        cmocka_unit_test(long_line_is_cut),
        cmocka_unit_test(sink_gets_the_lines_instead),
        cmocka_unit_test(threads_do_not_mix_their_lines),
        cmocka_unit_test(level_names_are_parsed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

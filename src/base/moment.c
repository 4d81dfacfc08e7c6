/* A cursor over the text; each form is tried to its end. */
#include "base/moment.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>

enum {
    MS_PER_S = 1000,
    S_PER_MINUTE = 60,
    S_PER_HOUR = 60 * S_PER_MINUTE,
    S_PER_DAY = 24 * S_PER_HOUR,
    S_PER_WEEK = 7 * S_PER_DAY,
    /* 1,000,000 weeks are 19,000 years: enough, and far from what an int64_t has no room for. */
    AGO_DIGITS_MAX = 6,
};

typedef struct Cursor {
    const char *at;
    const char *end;
} Cursor;

static bool at_end(const Cursor *cursor)
{
    return cursor->at == cursor->end;
}

static bool take(Cursor *cursor, char c)
{
    bool there = !at_end(cursor) && *cursor->at == c;
    cursor->at += there ? 1 : 0;
    return there;
}

static bool is_digit(const Cursor *cursor)
{
    return !at_end(cursor) && *cursor->at >= '0' && *cursor->at <= '9';
}

/* So many digits at least and at most. */
static bool take_number(Cursor *cursor, int least, int most, int *ret_number)
{
    int number = 0;
    int digits = 0;
    while (digits < most && is_digit(cursor)) {
        number = number * 10 + (*cursor->at++ - '0');
        digits++;
    }
    *ret_number = number;
    return digits >= least && !is_digit(cursor);
}

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0 ? 1 : 0);
}

/* Days from 1970-01-01 in the proleptic Gregorian calendar (Howard Hinnant, "chrono-Compatible
 * Low-Level Date Algorithms", days_from_civil): the year begins in March, so that the leap day is
 * its last. */
static int64_t days_of(int year, int month, int day)
{
    enum { DAYS_PER_ERA = 146097, YEARS_PER_ERA = 400, DAYS_FROM_0000_03_01 = 719468 };
    int64_t y = (int64_t)year - (month <= 2 ? 1 : 0);
    int64_t era = floor_div(y, YEARS_PER_ERA);
    int64_t year_of_era = y - era * YEARS_PER_ERA;
    int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * DAYS_PER_ERA + day_of_era - DAYS_FROM_0000_03_01;
}

static bool day_exists(int year, int month, int day)
{
    if (month < 1 || month > 12 || day < 1) {
        return false;
    }
    int next_year = month == 12 ? year + 1 : year;
    int64_t next = days_of(next_year, month == 12 ? 1 : month + 1, 1);
    return day <= next - days_of(year, month, 1);
}

static bool take_date(Cursor *cursor, int64_t *ret_days)
{
    int year = 0;
    int month = 0;
    int day = 0;
    if (!take_number(cursor, 4, 4, &year) || !take(cursor, '-') ||
        !take_number(cursor, 1, 2, &month) || !take(cursor, '-') ||
        !take_number(cursor, 1, 2, &day) || !day_exists(year, month, day)) {
        return false;
    }
    *ret_days = days_of(year, month, day);
    return true;
}

/* HH:MM, HH:MM:SS or HH:MM:SS.fraction. */
static bool take_clock(Cursor *cursor, int64_t *ret_second)
{
    int hour = 0;
    int minute = 0;
    int second = 0;
    if (!take_number(cursor, 1, 2, &hour) || !take(cursor, ':') ||
        !take_number(cursor, 2, 2, &minute)) {
        return false;
    }
    if (take(cursor, ':')) {
        if (!take_number(cursor, 2, 2, &second)) {
            return false;
        }
        if (take(cursor, '.')) {
            if (!is_digit(cursor)) {
                return false;
            }
            while (is_digit(cursor)) {
                cursor->at++;
            }
        }
    }
    *ret_second = (int64_t)hour * S_PER_HOUR + (int64_t)minute * S_PER_MINUTE + second;
    return hour < 24 && minute < 60 && second < 60;
}

/* Z, +01:00 or nothing, which leaves *offset as it is. */
static bool take_zone(Cursor *cursor, int64_t *offset_s)
{
    if (at_end(cursor)) {
        return true;
    }
    if (take(cursor, 'Z') || take(cursor, 'z')) {
        *offset_s = 0;
        return true;
    }
    bool east = take(cursor, '+');
    int hour = 0;
    int minute = 0;
    if ((!east && !take(cursor, '-')) || !take_number(cursor, 2, 2, &hour) || !take(cursor, ':') ||
        !take_number(cursor, 2, 2, &minute) || hour >= 24 || minute >= 60) {
        return false;
    }
    int64_t offset = (int64_t)hour * S_PER_HOUR + (int64_t)minute * S_PER_MINUTE;
    *offset_s = east ? offset : -offset;
    return true;
}

static bool is_date(Cursor cursor, int64_t utc_offset_s, int64_t *ret_second)
{
    int64_t days = 0;
    int64_t second = 0;
    if (!take_date(&cursor, &days)) {
        return false;
    }
    if (take(&cursor, ' ') || take(&cursor, 'T') || take(&cursor, 't')) {
        if (!take_clock(&cursor, &second) || !take_zone(&cursor, &utc_offset_s)) {
            return false;
        }
    }
    *ret_second = days * S_PER_DAY + second - utc_offset_s;
    return at_end(&cursor);
}

static bool is_clock(Cursor cursor, int64_t now_s, int64_t utc_offset_s, int64_t *ret_second)
{
    int64_t second = 0;
    if (!take_clock(&cursor, &second)) {
        return false;
    }
    int64_t today = floor_div(now_s + utc_offset_s, S_PER_DAY);
    *ret_second = today * S_PER_DAY + second - utc_offset_s;
    return at_end(&cursor);
}

static int64_t unit_of(char letter)
{
    switch (letter) {
    case 's':
        return 1;
    case 'm':
        return S_PER_MINUTE;
    case 'h':
        return S_PER_HOUR;
    case 'd':
        return S_PER_DAY;
    case 'w':
        return S_PER_WEEK;
    default:
        return 0;
    }
}

static bool is_ago(Cursor cursor, int64_t now_s, int64_t *ret_second)
{
    int count = 0;
    if (!take_number(&cursor, 1, AGO_DIGITS_MAX, &count) || at_end(&cursor)) {
        return false;
    }
    int64_t unit = unit_of(*cursor.at++);
    *ret_second = now_s - count * unit;
    return unit != 0 && at_end(&cursor);
}

Err moment_parse(const char *text, size_t len, int64_t now_ms, int32_t utc_offset_s,
                 int64_t *ret_ms)
{
    Cursor cursor = {.at = text, .end = text + len};
    int64_t now_s = floor_div(now_ms, MS_PER_S);
    int64_t second = 0;
    if (!is_date(cursor, utc_offset_s, &second) &&
        !is_clock(cursor, now_s, utc_offset_s, &second) && !is_ago(cursor, now_s, &second)) {
        return ERR_INVALID;
    }
    *ret_ms = second < 0 ? 0 : second * MS_PER_S;
    return ERR_OK;
}

void moment_text(int64_t time_ms, char ret_text[MOMENT_TEXT_BYTES])
{
    static const int64_t last_ms = INT64_C(253402300799999);
    time_ms = time_ms < 0 ? 0 : (time_ms > last_ms ? last_ms : time_ms);
    time_t second = (time_t)(time_ms / MS_PER_S);
    struct tm utc;
    gmtime_r(&second, &utc);
    size_t len = strftime(ret_text, MOMENT_TEXT_BYTES, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text + len, MOMENT_TEXT_BYTES - len, ".%03dZ", (int)(time_ms % MS_PER_S));
}

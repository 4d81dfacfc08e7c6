#include "options.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

bool option_number(const char *text, unsigned long most, unsigned long *ret_number)
{
    char *end = NULL;
    errno = 0;
    unsigned long number = strtoul(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || number > most) {
        return false;
    }
    *ret_number = number;
    return true;
}

bool option_decimal(const char *text, double *ret_number)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(number) || number < 0) {
        return false;
    }
    *ret_number = number;
    return true;
}

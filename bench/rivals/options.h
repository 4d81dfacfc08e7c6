/* What stands behind an option, read strictly. */
#pragma once

#include <stdbool.h>

/* A whole number, at most so large. */
bool option_number(const char *text, unsigned long most, unsigned long *ret_number);
/* Not negative. */
bool option_decimal(const char *text, double *ret_number);

/* How often each duration came: 64 steps for each power of two, so within 1.6 %. */
#pragma once

#include <stdint.h>

enum {
    HISTOGRAM_STEPS = 64,
    HISTOGRAM_CELLS = 64 * HISTOGRAM_STEPS,
};

typedef struct Histogram {
    uint64_t cells[HISTOGRAM_CELLS];
    uint64_t count;
    uint64_t max;
} Histogram;

void histogram_add(Histogram *histogram, uint64_t value);
/* The value below which this share of them lies; 0 where there are none. */
double histogram_at(const Histogram *histogram, double share);

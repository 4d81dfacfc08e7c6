#include "histogram.h"

enum { STEP_BITS = 6 };

static unsigned cell_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS) {
        return (unsigned)value;
    }
    unsigned power = 63 - (unsigned)__builtin_clzll(value);
    return (power - STEP_BITS + 1) * HISTOGRAM_STEPS +
           (unsigned)(value >> (power - STEP_BITS) & (HISTOGRAM_STEPS - 1));
}

static uint64_t value_of(unsigned cell)
{
    if (cell < HISTOGRAM_STEPS) {
        return cell;
    }
    unsigned power = cell / HISTOGRAM_STEPS + STEP_BITS - 1;
    return UINT64_C(1) << power | (uint64_t)(cell % HISTOGRAM_STEPS) << (power - STEP_BITS);
}

void histogram_add(Histogram *histogram, uint64_t value)
{
    histogram->cells[cell_of(value)]++;
    histogram->count++;
    if (value > histogram->max) {
        histogram->max = value;
    }
}

double histogram_at(const Histogram *histogram, double share)
{
    uint64_t below = (uint64_t)(share * (double)histogram->count);
    uint64_t seen = 0;
    for (unsigned cell = 0; cell < HISTOGRAM_CELLS; cell++) {
        seen += histogram->cells[cell];
        if (seen > below) {
            return (double)value_of(cell);
        }
    }
    return (double)histogram->max;
}

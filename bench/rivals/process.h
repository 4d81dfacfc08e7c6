/* What a process costs, from /proc. 0 where it is not there. */
#pragma once

#include <stdint.h>

typedef struct ProcessCost {
    uint64_t scheduled_ns; /* on a CPU, all its live threads: schedstat */
    double cpu_s;          /* utime + stime */
    long memory_bytes;     /* resident, exact: smaps_rollup */
} ProcessCost;

typedef struct CoreTimes {
    double busy_s;
    double stolen_s; /* by the machine's other guests */
} CoreTimes;

/* pid 0: all zero. */
ProcessCost process_cost(int pid);
CoreTimes core_times(int core);
/* This program's own, in seconds. */
double own_cpu_s(void);

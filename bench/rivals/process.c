#include "process.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PATH_MAX_BYTES = 320, LINE_MAX_BYTES = 1024 };

static uint64_t scheduled_ns(int pid)
{
    char path[PATH_MAX_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/task", pid);
    DIR *tasks = opendir(path);
    if (tasks == NULL) {
        return 0;
    }
    uint64_t sum = 0;
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks)) {
        if (task->d_name[0] == '.') {
            continue;
        }
        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL) {
            continue; /* it has ended since */
        }
        char line[LINE_MAX_BYTES];
        if (fgets(line, sizeof(line), file) != NULL) {
            sum += strtoull(line, NULL, 10);
        }
        fclose(file);
    }
    closedir(tasks);
    return sum;
}

static double cpu_s(int pid)
{
    char path[PATH_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    unsigned long user = 0;
    unsigned long system = 0;
    /* The name, in parentheses, may hold anything: the fields are counted from its end. */
    char *fields = fgets(line, sizeof(line), file) != NULL ? strrchr(line, ')') : NULL;
    if (fields == NULL || sscanf(fields + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                                 &user, &system) != 2) {
        user = system = 0;
    }
    fclose(file);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

static long memory_bytes(int pid)
{
    char path[PATH_MAX_BYTES];
    char line[LINE_MAX_BYTES];
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return 0;
    }
    long kib = 0;
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, "Rss:", 4) == 0) {
            kib = strtol(line + 4, NULL, 10);
            break;
        }
    }
    fclose(file);
    return kib * 1024;
}

ProcessCost process_cost(int pid)
{
    if (pid <= 0) {
        return (ProcessCost){0};
    }
    return (ProcessCost){
        .scheduled_ns = scheduled_ns(pid),
        .cpu_s = cpu_s(pid),
        .memory_bytes = memory_bytes(pid),
    };
}

CoreTimes core_times(int core)
{
    enum { USER, NICE, SYSTEM, IDLE, IOWAIT, IRQ, SOFTIRQ, STEAL, FIELDS };
    char name[16];
    char line[LINE_MAX_BYTES];
    int name_len = snprintf(name, sizeof(name), "cpu%d ", core);
    CoreTimes times = {0};
    FILE *file = fopen("/proc/stat", "r");
    if (file == NULL) {
        return times;
    }
    while (fgets(line, sizeof(line), file) != NULL) {
        if (strncmp(line, name, (size_t)name_len) != 0) {
            continue;
        }
        double ticks[FIELDS] = {0};
        char *at = line + name_len;
        for (int i = 0; i < FIELDS; i++) {
            ticks[i] = strtod(at, &at);
        }
        double second = (double)sysconf(_SC_CLK_TCK);
        times.busy_s =
            (ticks[USER] + ticks[NICE] + ticks[SYSTEM] + ticks[IRQ] + ticks[SOFTIRQ]) / second;
        times.stolen_s = ticks[STEAL] / second;
    }
    fclose(file);
    return times;
}

double own_cpu_s(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

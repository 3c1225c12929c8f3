/*
 * What a dom0 does while its instructions are counted: a fixed piece of each kind of work that a hypervisor makes dearer.
 *
 * Started by /init as `workload`; prints `FIGURE name=ticks` for each piece, where a tick of the time stamp counter is an
 * instruction. `workload nothing` ends at once: what the forks execute; `workload start` only tells the time. The work is
 * the same on every run; a piece that goes wrong prints no figure and ends the program with status 1. While the CPU waits,
 * ticks pass without instructions: of the one piece that waits for a device, its processor time counts, which runs at a
 * tick a nanosecond too.
 */
#define _DEFAULT_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define FORKS 500
#define WALKED (256ul << 20)
#define ROUNDS 10000

static uint64_t ticks(void)
{
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Processor time of the program that ran last, in nanoseconds. */
static uint64_t spent;

/* Runs a program to its end; 0 if it ended well. */
static int run(char *const words[])
{
    int status;
    struct rusage use;
    pid_t child = fork();
    if (child == 0) {
        execv(words[0], words);
        _exit(127);
    }
    if (child < 0 || wait4(child, &status, 0, &use) != child || status != 0)
        return 1;
    spent = ((uint64_t)(use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 + use.ru_utime.tv_usec + use.ru_stime.tv_usec) * 1000;
    return 0;
}

static int forks(void)
{
    char *const nothing[] = { "/bin/workload", "nothing", NULL };
    for (int round = 0; round < FORKS; round++)
        if (run(nothing))
            return 1;
    return 0;
}

/* Touches every page of a fresh mapping. */
static int walk(void)
{
    volatile char *memory = mmap(NULL, WALKED, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED || madvise((void *)memory, WALKED, MADV_NOHUGEPAGE) != 0)
        return 1;
    for (size_t at = 0; at < WALKED; at += 4096)
        memory[at] = 1;
    return munmap((void *)memory, WALKED);
}

/* One byte to a child and back, again and again. */
static int ping_pong(void)
{
    int there[2], back[2], status;
    char byte = 'x';
    if (pipe(there) || pipe(back))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        for (int round = 0; round < ROUNDS; round++)
            if (read(there[0], &byte, 1) != 1 || write(back[1], &byte, 1) != 1)
                _exit(1);
        _exit(0);
    }
    for (int round = 0; round < ROUNDS; round++)
        if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
            return 1;
    return waitpid(child, &status, 0) != child || status != 0;
}

static int compile(void)
{
    char *const words[] = { "/bin/cc1", "-quiet", "-fpreprocessed", "-O2", "/tmp/source.c", "-o", "/tmp/source.s", NULL };
    return run(words);
}

/* A file of the SATA disk, read for the first time. */
static int hash(void)
{
    char *const words[] = { "/bin/sha256sum", "/dev/sda", NULL };
    return run(words);
}

enum kind { TICKS, PROCESSOR_TIME };

static int figure(const char *name, int (*work)(void), enum kind kind)
{
    uint64_t before = ticks();
    int failed = work();
    uint64_t passed = kind == TICKS ? ticks() - before : spent;
    if (failed)
        printf("TEST %s: FAIL\n", name);
    else
        printf("FIGURE %s=%llu\n", name, (unsigned long long)passed);
    fflush(stdout);
    return failed;
}

int main(int count, char **words)
{
    uint64_t start = ticks();
    if (count > 1 && strcmp(words[1], "nothing") == 0)
        return 0;
    if (count > 1 && strcmp(words[1], "start") == 0) {
        printf("FIGURE first process=%llu\n", (unsigned long long)start);
        fflush(stdout);
        return 0;
    }
    return figure("fork and exec x500", forks, TICKS) | figure("page faults over 256 MiB", walk, TICKS) |
           figure("pipe ping-pong x10,000", ping_pong, TICKS) | figure("compilation", compile, TICKS) |
           figure("sha256 of the SATA disk", hash, PROCESSOR_TIME);
}

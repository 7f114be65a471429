/* A stand-in for the NVIDIA driver library, for machines without a GPU.
 *
 * Every call reads the file named by CRO_NVML_STUB afresh, so a test changes the machine while it runs:
 *   init <nvmlReturn>          what nvmlInit answers (0 = success)
 *   call <nvmlReturn>          what every later call answers
 *   delay_ms <n>               how long each call takes
 *   gpu <mem_mib> <used_mib> <util> <temp> <milliwatt> <limit_milliwatt>
 *   reasons <gpu> <bits>       why its clocks are held down
 *   ecc <gpu> <n>              memory errors that could not be corrected; without it, not supported
 *   xid <gpu> <number>         an error that it reports, once to each event set that was there before
 *   lost <gpu>                 that one answers nothing but "lost"
 *   split <gpu>                MIG is on: its instances are what follows
 *   mig <gpu> <slot> <mem_mib> <used_mib>
 *   process <gpu> <pid> <mib or -1 for N/A> <slot of the instance, or -1>
 * A value of -1 for util, temp or power answers "not supported".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef int ret;
enum { OK = 0, NOT_SUPPORTED = 3, NOT_FOUND = 6, INVALID = 2, SIZE = 7, TIMEOUT = 10, LOST = 15 };
typedef struct { long mem, used, util, temp, power, limit; int lost, reasons, split; long ecc; long mig[8], mig_used[8]; } gpu;
typedef struct { int gpu; unsigned pid; long mib; int slot; } proc;
static struct { int init, call, delay, gpus, procs, xids; gpu g[16]; proc p[256]; int xid_gpu[64]; unsigned long long xid[64]; } m;
static int told; /* of the errors in the file */
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned gpu, memory; } rates_t;
typedef struct { void *device; unsigned long long type, data; unsigned gi, ci; } event_t;
typedef struct { unsigned pid; unsigned long long used; unsigned gi, ci; } info_t;

static void load(void) {
    memset(&m, 0, sizeof m);
    const char *path = getenv("CRO_NVML_STUB");
    FILE *f = path ? fopen(path, "r") : NULL;
    if (!f) { m.init = 9; return; }
    char line[256];
    while (fgets(line, sizeof line, f)) {
        gpu g = {.ecc = -1}; proc p = {.slot = -1}; int lost, which, bits; long count, room;
        sscanf(line, "init %d", &m.init);
        sscanf(line, "call %d", &m.call);
        sscanf(line, "delay_ms %d", &m.delay);
        if (m.gpus < 16 && sscanf(line, "gpu %ld %ld %ld %ld %ld %ld", &g.mem, &g.used, &g.util, &g.temp, &g.power, &g.limit) == 6) m.g[m.gpus++] = g;
        if (sscanf(line, "reasons %d %d", &which, &bits) == 2 && which >= 0 && which < m.gpus) m.g[which].reasons = bits;
        if (sscanf(line, "split %d", &which) == 1 && which >= 0 && which < m.gpus) m.g[which].split = 1;
        if (sscanf(line, "mig %d %d %ld %ld", &which, &bits, &count, &room) == 4 && which >= 0 && which < m.gpus && bits >= 0 && bits < 8) { m.g[which].mig[bits] = count; m.g[which].mig_used[bits] = room; }
        if (sscanf(line, "ecc %d %ld", &which, &count) == 2 && which >= 0 && which < m.gpus) m.g[which].ecc = count;
        if (m.xids < 64 && sscanf(line, "xid %d %ld", &which, &count) == 2) { m.xid_gpu[m.xids] = which; m.xid[m.xids++] = count; }
        if (sscanf(line, "lost %d", &lost) == 1 && lost >= 0 && lost < m.gpus) m.g[lost].lost = 1;
        if (m.procs < 256 && sscanf(line, "process %d %u %ld %d", &p.gpu, &p.pid, &p.mib, &p.slot) >= 3) m.p[m.procs++] = p;
    }
    fclose(f);
}
static ret enter(void) { load(); if (m.delay) usleep(m.delay * 1000); return m.call; }
#define ENTER ret r = enter(); if (r) return r
#define GPU(h) ((int)((long)(h) % 100) - 1)
#define SLOT(h) ((int)((long)(h) / 100) - 1) /* of an instance, -1 of a card */
#define CHECK(h) ENTER; if (GPU(h) < 0 || GPU(h) >= m.gpus) return INVALID; if (m.g[GPU(h)].lost) return LOST; if (SLOT(h) >= 0 && !m.g[GPU(h)].mig[SLOT(h)]) return NOT_FOUND
#define CARD(h) CHECK(h); if (SLOT(h) >= 0) return INVALID

ret nvmlInitWithFlags(unsigned flags) { (void)flags; load(); return m.init; }
ret nvmlInit_v2(void) { load(); return m.init; }
ret nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(ret r) { return r == 15 ? "GPU is lost" : "stand-in error"; }
ret nvmlDeviceGetCount_v2(unsigned *n) { ENTER; *n = m.gpus; return OK; }
ret nvmlDeviceGetHandleByIndex_v2(unsigned i, void **h) { ENTER; if ((int)i >= m.gpus) return INVALID; if (m.g[i].lost) return LOST; *h = (void *)(long)(i + 1); return OK; }
ret nvmlDeviceGetName(void *h, char *s, unsigned n) { CHECK(h); if (SLOT(h) < 0) snprintf(s, n, "Stand-in %d", GPU(h)); else snprintf(s, n, "Stand-in %d MIG 1g", GPU(h)); return OK; }
ret nvmlDeviceGetUUID(void *h, char *s, unsigned n) { CHECK(h); if (SLOT(h) >= 0) snprintf(s, n, "MIG-00000000-0000-0000-%04d-%012d", SLOT(h), GPU(h)); else snprintf(s, n, "GPU-00000000-0000-0000-0000-%012d", GPU(h)); return OK; }
ret nvmlDeviceGetMemoryInfo(void *h, memory_t *o) { CHECK(h); gpu *g = &m.g[GPU(h)]; int s = SLOT(h); o->total = (unsigned long long)(s < 0 ? g->mem : g->mig[s]) << 20; o->used = (unsigned long long)(s < 0 ? g->used : g->mig_used[s]) << 20; o->free = o->total - o->used; return OK; }
ret nvmlDeviceGetUtilizationRates(void *h, rates_t *o) { CARD(h); if (m.g[GPU(h)].util < 0 || m.g[GPU(h)].split) return NOT_SUPPORTED; o->gpu = m.g[GPU(h)].util; o->memory = 0; return OK; }
ret nvmlDeviceGetTemperature(void *h, unsigned kind, unsigned *o) { (void)kind; CARD(h); if (m.g[GPU(h)].temp < 0) return NOT_SUPPORTED; *o = m.g[GPU(h)].temp; return OK; }
ret nvmlDeviceGetPowerUsage(void *h, unsigned *o) { CARD(h); if (m.g[GPU(h)].power < 0) return NOT_SUPPORTED; *o = m.g[GPU(h)].power; return OK; }
ret nvmlDeviceGetEnforcedPowerLimit(void *h, unsigned *o) { CARD(h); if (m.g[GPU(h)].limit < 0) return NOT_SUPPORTED; *o = m.g[GPU(h)].limit; return OK; }
ret nvmlDeviceGetCurrentClocksEventReasons(void *h, unsigned long long *o) { CARD(h); *o = m.g[GPU(h)].reasons; return OK; }
ret nvmlDeviceGetMigMode(void *h, unsigned *now, unsigned *next) { CARD(h); *now = *next = m.g[GPU(h)].split; return OK; }
ret nvmlDeviceGetMaxMigDeviceCount(void *h, unsigned *n) { CARD(h); *n = 8; return OK; }
ret nvmlDeviceGetMigDeviceHandleByIndex(void *h, unsigned i, void **o) { CARD(h); if (i >= 8 || !m.g[GPU(h)].split || !m.g[GPU(h)].mig[i]) return NOT_FOUND; *o = (void *)((long)h + 100 * (i + 1)); return OK; }
ret nvmlDeviceGetTotalEccErrors(void *h, unsigned kind, unsigned since, unsigned long long *o) { CARD(h); if (kind != 1 || since != 0) return INVALID; if (m.g[GPU(h)].ecc < 0) return NOT_SUPPORTED; *o = m.g[GPU(h)].ecc; return OK; }
ret nvmlEventSetCreate(void **set) { ENTER; told = m.xids; *set = (void *)1; return OK; }
ret nvmlEventSetFree(void *set) { (void)set; return OK; }
ret nvmlDeviceRegisterEvents(void *h, unsigned long long types, void *set) { (void)set; CARD(h); return types == 8 ? OK : INVALID; }
ret nvmlEventSetWait_v2(void *set, event_t *o, unsigned ms) { (void)set; (void)ms; ENTER; if (told >= m.xids) return TIMEOUT; *o = (event_t){(void *)(long)(m.xid_gpu[told] + 1), 8, m.xid[told], -1, -1}; told++; return OK; }
ret nvmlDeviceGetComputeRunningProcesses_v3(void *h, unsigned *n, info_t *o) {
    CHECK(h);
    unsigned room = *n, found = 0;
    for (int i = 0; i < m.procs; i++) if (m.p[i].gpu == GPU(h) && (SLOT(h) < 0 || m.p[i].slot == SLOT(h))) found++;
    *n = found;
    if (found > room || (found && !o)) return SIZE;
    for (int i = 0, k = 0; i < m.procs; i++) if (m.p[i].gpu == GPU(h) && (SLOT(h) < 0 || m.p[i].slot == SLOT(h))) {
        o[k].pid = m.p[i].pid;
        o[k].used = m.p[i].mib < 0 ? ~0ULL : (unsigned long long)m.p[i].mib << 20;
        o[k].gi = o[k].ci = ~0U; k++;
    }
    return OK;
}
ret nvmlDeviceGetGraphicsRunningProcesses_v3(void *h, unsigned *n, info_t *o) { (void)o; CHECK(h); *n = 0; return OK; }

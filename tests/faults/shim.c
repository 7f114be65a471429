/* A machine on which the clock jumps and the disk is full, for the processes that load this first.
 *
 * FOLDER/offset_s: seconds that the wall clock is ahead; the monotonic clock is left alone.
 * FOLDER/full: nothing can be written or made at or below the path in this file, while it is there.
 * FOLDER/readonly: it is so because the file system is read-only, while this is there.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static long content(const char *path, char *text, size_t size) {
    int kept = errno;
    long length = -1;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        length = syscall(SYS_read, fd, text, size - 1);
        syscall(SYS_close, fd);
        if (length >= 0) text[length] = 0;
    }
    errno = kept;
    return length;
}

static time_t ahead(void) {
    char text[32];
    return content(FOLDER "/offset_s", text, sizeof text) > 0 ? atol(text) : 0;
}

int clock_gettime(clockid_t id, struct timespec *at) {
    int answer = syscall(SYS_clock_gettime, id, at);
    if (answer == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += ahead();
    return answer;
}

int gettimeofday(struct timeval *restrict at, void *restrict zone) {
    int answer = syscall(SYS_gettimeofday, at, zone);
    if (answer == 0) at->tv_sec += ahead();
    return answer;
}

time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at != NULL) *at = now.tv_sec;
    return now.tv_sec;
}

static int is_full(const char *path) {
    char prefix[PATH_MAX];
    long length = content(FOLDER "/full", prefix, sizeof prefix);
    return length > 0 && strncmp(path, prefix, length) == 0 && (path[length] == 0 || path[length] == '/');
}

static int no_room_for(int folder, const char *name) {
    char path[2 * PATH_MAX], link[64];
    if (access(FOLDER "/full", F_OK) != 0) return 0;
    if (name[0] == '/') return is_full(name);
    if (folder == AT_FDCWD) strcpy(link, "/proc/self/cwd");
    else snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
    long length = readlink(link, path, PATH_MAX);
    if (length < 0) return 0;
    snprintf(path + length, PATH_MAX, "/%s", name);
    return is_full(path);
}

static int no_room_in(int fd) {
    char path[PATH_MAX], link[64];
    int kept = errno;
    if (access(FOLDER "/full", F_OK) != 0) return errno = kept, 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    long length = readlink(link, path, sizeof path - 1);
    errno = kept;
    if (length < 0) return 0;
    path[length] = 0;
    return is_full(path);
}

static int refuse(void) {
    errno = access(FOLDER "/readonly", F_OK) == 0 ? EROFS : ENOSPC;
    return -1;
}

static int open_at(int folder, const char *path, int flags, mode_t mode) {
    if (flags & O_CREAT && syscall(SYS_faccessat, folder, path, F_OK) != 0 && no_room_for(folder, path))
        return refuse();
    if ((flags & O_ACCMODE) != O_RDONLY && access(FOLDER "/readonly", F_OK) == 0 && no_room_for(folder, path))
        return refuse();
    return syscall(SYS_openat, folder, path, flags, mode);
}

#define MODE(flags, last) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, last); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) { MODE(flags, flags) return open_at(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(flags, flags) return open_at(AT_FDCWD, path, flags, mode); }
int openat(int folder, const char *path, int flags, ...) { MODE(flags, flags) return open_at(folder, path, flags, mode); }
int openat64(int folder, const char *path, int flags, ...) { MODE(flags, flags) return open_at(folder, path, flags, mode); }

int mkdir(const char *path, mode_t mode) {
    return no_room_for(AT_FDCWD, path) ? refuse() : syscall(SYS_mkdirat, AT_FDCWD, path, mode);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return count && no_room_in(fd) ? refuse() : syscall(SYS_write, fd, bytes, count);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return no_room_in(fd) ? refuse() : syscall(SYS_writev, fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t at) {
    return count && no_room_in(fd) ? refuse() : syscall(SYS_pwrite64, fd, bytes, count, at);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off64_t at) {
    return count && no_room_in(fd) ? refuse() : syscall(SYS_pwrite64, fd, bytes, count, at);
}

/* Stands between a process and its disk: writes down, in order, every change below a folder, and
 * can make some of them fail. Loaded with LD_PRELOAD, so that the store's own writes and sled's are
 * seen alike; disk.rs has the other half.
 *
 *   PLENARY_DISK_ROOT   the folder
 *   PLENARY_DISK_LOG    where to write the log: per change op:1 ino:8 at:8 length:4, then the bytes
 *   PLENARY_DISK_FAIL   "FIRST COUNT ERRNO SHORT": fail COUNT calls from the FIRST on; if SHORT, the
 *                       first write to fail takes half of its bytes. Files named "acks" never fail.
 *
 * sync_file_range is left alone on purpose: it makes nothing durable.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SLOTS 65536
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t watched[SLOTS]; /* inode numbers below the folder, 0 where free */
static char root[PATH_MAX];
static size_t root_len;
static int log_fd = -1;
static long calls, fail_first, fail_count;
static int fail_errno, fail_short;

static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static int (*real_open)(const char *, int, ...);
static int (*real_fsync)(int), (*real_fdatasync)(int);
static int (*real_ftruncate)(int, off_t);
static int (*real_rename)(const char *, const char *);
static int (*real_unlink)(const char *), (*real_rmdir)(const char *);
static int (*real_unlinkat)(int, const char *, int);
static int (*real_mkdir)(const char *, mode_t);

static void __attribute__((constructor)) begin(void) {
    real_write = dlsym(RTLD_NEXT, "write");
    real_pwrite = dlsym(RTLD_NEXT, "pwrite64");
    real_open = dlsym(RTLD_NEXT, "open64");
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_ftruncate = dlsym(RTLD_NEXT, "ftruncate64");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rmdir = dlsym(RTLD_NEXT, "rmdir");
    real_unlinkat = dlsym(RTLD_NEXT, "unlinkat");
    real_mkdir = dlsym(RTLD_NEXT, "mkdir");
    const char *at = getenv("PLENARY_DISK_ROOT"), *log = getenv("PLENARY_DISK_LOG");
    if (!at || !log) return;
    root_len = strlen(at);
    if (root_len >= sizeof root) return;
    strcpy(root, at);
    log_fd = real_open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    const char *fail = getenv("PLENARY_DISK_FAIL");
    if (fail) sscanf(fail, "%ld %ld %d %d", &fail_first, &fail_count, &fail_errno, &fail_short);
}

static int below(const char *path) {
    return log_fd >= 0 && !strncmp(path, root, root_len) &&
           (path[root_len] == '/' || !path[root_len]);
}

static uint64_t *slot(uint64_t ino) {
    for (uint64_t at = ino * 0x9e3779b97f4a7c15u >> 48;; at++) {
        uint64_t *found = &watched[at % SLOTS];
        if (*found == ino || !*found) return found;
    }
}

static uint64_t ino_of(int fd) {
    struct stat found;
    return log_fd < 0 || fstat(fd, &found) ? 0 : found.st_ino;
}

/* The inode behind a descriptor if it is below the folder, else 0. */
static uint64_t ours(int fd) {
    uint64_t ino = ino_of(fd);
    return ino && *slot(ino) == ino ? ino : 0;
}

static void put(char op, uint64_t ino, uint64_t at, const void *bytes, uint32_t len) {
    char head[21];
    head[0] = op;
    memcpy(head + 1, &ino, 8);
    memcpy(head + 9, &at, 8);
    memcpy(head + 17, &len, 4);
    if (real_write(log_fd, head, sizeof head) != sizeof head) abort();
    for (size_t done = 0; done < len;) {
        ssize_t n = real_write(log_fd, (const char *)bytes + done, len - done);
        if (n <= 0) abort();
        done += (size_t)n;
    }
}

static void put_path(char op, uint64_t ino, const char *path) {
    put(op, ino, 0, path, (uint32_t)strlen(path));
}

static void path_of(int fd, char *out) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, out, PATH_MAX - 1);
    out[n < 0 ? 0 : n] = 0;
}

/* Whether this call is to fail; says so in the log. */
static int fails(const char *call, const char *path) {
    size_t len = strlen(path);
    if (len >= 5 && !strcmp(path + len - 5, "/acks")) return 0;
    long n = ++calls;
    if (!fail_count || n < fail_first || n >= fail_first + fail_count) return 0;
    char text[PATH_MAX + 32];
    snprintf(text, sizeof text, "%s %s", call, path);
    put_path('F', 0, text);
    errno = fail_errno;
    return 1;
}

static int fd_fails(const char *call, int fd) {
    char path[PATH_MAX];
    path_of(fd, path);
    return fails(call, path);
}

#define UNDER_LOCK(type, expression)                                                               \
    do {                                                                                           \
        pthread_mutex_lock(&lock);                                                                 \
        type result = (expression);                                                                \
        int kept = errno;                                                                          \
        pthread_mutex_unlock(&lock);                                                               \
        errno = kept;                                                                              \
        return result;                                                                             \
    } while (0)

static int do_open(const char *path, int flags, mode_t mode) {
    struct stat before;
    int existed = !stat(path, &before), makes = (flags & O_CREAT) && !existed;
    if ((makes || (flags & O_TRUNC)) && fails("open", path)) return -1;
    int fd = real_open(path, flags, mode);
    if (fd < 0) return fd;
    uint64_t ino = ino_of(fd);
    *slot(ino) = ino;
    if (makes) put_path('C', ino, path);
    else if (flags & O_TRUNC) put('T', ino, 0, "", 0);
    return fd;
}

static int any_open(const char *path, int flags, mode_t mode) {
    if (!real_open) return -1;
    if (!below(path)) return real_open(path, flags, mode);
    UNDER_LOCK(int, do_open(path, flags, mode));
}

int open64(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return any_open(path, flags, mode);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return any_open(path, flags, mode);
}

static ssize_t do_write(int fd, uint64_t ino, const void *bytes, size_t len, off_t at, int seek) {
    long next = calls + 1;
    if (fd_fails("write", fd)) {
        if (!fail_short || next != fail_first || len < 2) return -1;
        /* A full disk takes what fits; the rest fails by the next call. */
        fail_count++;
        len /= 2;
    }
    if (seek) {
        struct stat found;
        int append = fcntl(fd, F_GETFL) & O_APPEND;
        at = append && !fstat(fd, &found) ? found.st_size : lseek(fd, 0, SEEK_CUR);
    }
    ssize_t n = seek ? real_write(fd, bytes, len) : real_pwrite(fd, bytes, len, at);
    if (n > 0) put('W', ino, (uint64_t)at, bytes, (uint32_t)n);
    return n;
}

ssize_t write(int fd, const void *bytes, size_t len) {
    uint64_t ino = ours(fd);
    if (!ino) return real_write(fd, bytes, len);
    UNDER_LOCK(ssize_t, do_write(fd, ino, bytes, len, 0, 1));
}

ssize_t pwrite64(int fd, const void *bytes, size_t len, off_t at) {
    uint64_t ino = ours(fd);
    if (!ino) return real_pwrite(fd, bytes, len, at);
    UNDER_LOCK(ssize_t, do_write(fd, ino, bytes, len, at, 0));
}

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t at) {
    return pwrite64(fd, bytes, len, at);
}

static int do_sync(int fd, uint64_t ino, int (*sync)(int)) {
    if (fd_fails("sync", fd)) return -1;
    int done = sync(fd);
    struct stat found;
    if (done || fstat(fd, &found)) return done;
    if (S_ISDIR(found.st_mode)) {
        char path[PATH_MAX];
        path_of(fd, path);
        put_path('D', ino, path);
    } else {
        put('S', ino, 0, "", 0);
    }
    return 0;
}

int fsync(int fd) {
    uint64_t ino = ours(fd);
    if (!ino) return real_fsync(fd);
    UNDER_LOCK(int, do_sync(fd, ino, real_fsync));
}

int fdatasync(int fd) {
    uint64_t ino = ours(fd);
    if (!ino) return real_fdatasync(fd);
    UNDER_LOCK(int, do_sync(fd, ino, real_fdatasync));
}

static int do_truncate(int fd, uint64_t ino, off_t len) {
    if (fd_fails("truncate", fd)) return -1;
    int done = real_ftruncate(fd, len);
    if (!done) put('T', ino, (uint64_t)len, "", 0);
    return done;
}

int ftruncate64(int fd, off_t len) {
    uint64_t ino = ours(fd);
    if (!ino) return real_ftruncate(fd, len);
    UNDER_LOCK(int, do_truncate(fd, ino, len));
}

int ftruncate(int fd, off_t len) { return ftruncate64(fd, len); }

static int do_rename(const char *from, const char *to) {
    if (fails("rename", to)) return -1;
    int done = real_rename(from, to);
    if (!done) {
        char both[2 * PATH_MAX];
        size_t first = strlen(from) + 1, second = strlen(to);
        memcpy(both, from, first);
        memcpy(both + first, to, second);
        put('R', 0, 0, both, (uint32_t)(first + second));
    }
    return done;
}

int rename(const char *from, const char *to) {
    if (!below(from) && !below(to)) return real_rename(from, to);
    UNDER_LOCK(int, do_rename(from, to));
}

static int do_unlink(const char *path) {
    if (fails("unlink", path)) return -1;
    int done = real_unlink(path);
    if (!done) put_path('U', 0, path);
    return done;
}

int unlink(const char *path) {
    if (!below(path)) return real_unlink(path);
    UNDER_LOCK(int, do_unlink(path));
}

int unlinkat(int dir, const char *path, int flags) {
    char full[2 * PATH_MAX];
    full[0] = 0;
    if (*path != '/' && dir != AT_FDCWD) {
        path_of(dir, full);
        strcat(full, "/");
    }
    strncat(full, path, PATH_MAX - 1);
    if (!below(full)) return real_unlinkat(dir, path, flags);
    if (flags & AT_REMOVEDIR) return rmdir(full);
    return unlink(full);
}

static int do_rmdir(const char *path) {
    if (fails("rmdir", path)) return -1;
    int done = real_rmdir(path);
    if (!done) put_path('U', 0, path);
    return done;
}

int rmdir(const char *path) {
    if (!below(path)) return real_rmdir(path);
    UNDER_LOCK(int, do_rmdir(path));
}

static int do_mkdir(const char *path, mode_t mode) {
    if (fails("mkdir", path)) return -1;
    int done = real_mkdir(path, mode);
    if (!done) put_path('M', 0, path);
    return done;
}

int mkdir(const char *path, mode_t mode) {
    if (!below(path)) return real_mkdir(path, mode);
    UNDER_LOCK(int, do_mkdir(path, mode));
}

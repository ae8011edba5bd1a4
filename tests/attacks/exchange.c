/* An attacker who acts between two calls: counts the calls of a process by which it can come to a directory, and
 * exchanges two names before some of them.
 *
 * Preloaded into the victim, which steers it through ctypes. What it counts and does is kept in a file that the victim
 * and every process it starts have mapped (EXCHANGE_STATE), so that a call of the tool counts like one of the victim.
 *
 * A call counts if its path, resolved from its directory, is a directory on the way to the attacked place, is the place
 * or lies in it; also by way of /proc/self/fd. Entering a directory and starting a program count always. Calls by
 * descriptor alone need no counting: for them it makes no difference what a name stands for.
 *
 * Nothing here allocates, so that it also works between vfork and exec.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define OPENAT2 437
#define EXCHANGE 2

struct state {
    long armed, calls, away, back, glimpses;
    long exchanged;  /* whether the names are the other way round now */
    long failed;     /* the errno of an exchange that the system refused */
    long no_openat2; /* the errno that openat2 fails with, 0 if it works: an older kernel, or a sandbox */
    char here[1024], there[1024], place[1024];
    char seen[1 << 16]; /* each call that counted and its path, a line each */
    long seen_bytes;
};

static struct state *state;
static long (*kernel)(long, ...);

#define REAL(call) static __typeof__(&call) real; if (!real) real = (__typeof__(&call)) dlsym(RTLD_NEXT, #call)

__attribute__((constructor)) static void begin(void) {
    kernel = (long (*)(long, ...)) dlsym(RTLD_NEXT, "syscall");
    const char *path = getenv("EXCHANGE_STATE");
    long fd = path ? kernel(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC) : -1;
    if (fd < 0) return;
    void *found = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) state = found;
    close(fd);
}

long exchange_state_bytes(void) { return sizeof *state; }

static void exchange(void) {
    if (kernel(SYS_renameat2, AT_FDCWD, state->here, AT_FDCWD, state->there, EXCHANGE)) state->failed = errno;
    else state->exchanged = !state->exchanged;
}

/* From now on: exchange `here` and `there`, two names in `place`, before call `away` and again before call `back`. With
 * `glimpses` the other way round: they stand as they should during these two calls alone. */
void exchange_arm(const char *here, const char *there, const char *place, long away, long back, long glimpses,
                  long no_openat2) {
    strncpy(state->here, here, sizeof state->here - 1);
    strncpy(state->there, there, sizeof state->there - 1);
    strncpy(state->place, place, sizeof state->place - 1);
    state->away = away;
    state->back = back;
    state->glimpses = glimpses;
    state->no_openat2 = no_openat2;
    state->calls = state->failed = state->seen_bytes = 0;
    state->seen[0] = 0;
    __atomic_store_n(&state->armed, 1, __ATOMIC_SEQ_CST);
}

/* Stop, and put the names back. How many calls there were; less than 0 if an exchange was refused. */
long exchange_disarm(void) {
    __atomic_store_n(&state->armed, 0, __ATOMIC_SEQ_CST);
    state->no_openat2 = 0;
    if (state->exchanged) exchange();
    return state->failed ? -state->failed : state->calls;
}

const char *exchange_seen(void) { return state->seen; }

static int leads_to(const char *path, const char *place) {
    size_t size = strlen(path);
    while (size && path[size - 1] == '/') size--;
    return !strncmp(path, place, size) && (!place[size] || place[size] == '/');
}

static int link_of(const char *link, char *target) {
    long size = kernel(SYS_readlinkat, AT_FDCWD, link, target, PATH_MAX - 1);
    if (size < 0) return 0;
    target[size] = 0;
    return 1;
}

static int touches(int dir_fd, const char *path) {
    char whole[3 * PATH_MAX], link[64] = "/proc/self/cwd";
    if (path[0] != '/') {
        if (dir_fd != AT_FDCWD) {
            char *end = stpcpy(link, "/proc/self/fd/"), digits[16];
            int count = 0;
            do digits[count++] = '0' + dir_fd % 10; while ((dir_fd /= 10) > 0);
            while (count) *end++ = digits[--count];
            *end = 0;
        }
        if (!link_of(link, whole)) return 0;
        if (strlen(path) < PATH_MAX) { if (*path) strcat(strcat(whole, "/"), path); }
        path = whole;
    } else if (!strncmp(path, "/proc/self/", 11) || !strncmp(path, "/proc/thread-self/", 18)) {
        const char *digits = strstr(path, "/fd/");
        size_t size = digits ? (size_t) (digits - path) + 4 + strspn(digits + 4, "0123456789") : 0;
        if (!digits || size >= sizeof link) return 0;
        memcpy(link, path, size);
        link[size] = 0;
        if (!link_of(link, whole)) return 0;
        path = whole;
    }
    if (path[0] == '/' && path[1] == '/') path++;
    return leads_to(path, state->place) || leads_to(state->place, path);
}

static void note(const char *text) {
    size_t size = strlen(text);
    if (state->seen_bytes + size >= sizeof state->seen) return;
    memcpy(state->seen + state->seen_bytes, text, size + 1);
    state->seen_bytes += size;
}

static void count(const char *call, const char *path) {
    int kept = errno;
    long number = __atomic_add_fetch(&state->calls, 1, __ATOMIC_SEQ_CST);
    long later = state->back ? state->back : LONG_MAX;
    long wanted = state->glimpses ? number != state->away && number != later
                                  : state->away && state->away <= number && number < later;
    if (state->exchanged != wanted) exchange();
    note(call);
    note(" ");
    note(path);
    note("\n");
    errno = kept;
}

static void before(const char *call, int dir_fd, const char *path) {
    if (!state || !state->armed || !path) return;
    int kept = errno;
    if (touches(dir_fd, path)) count(call, path);
    errno = kept;
}

static void always(const char *call) { if (state && state->armed) count(call, ""); }

long syscall(long number, ...) {
    long a[6];
    va_list rest;
    va_start(rest, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(rest, long);
    va_end(rest);
    if (number == OPENAT2) {
        before("openat2", (int) a[0], (const char *) a[1]);
        if (state && state->no_openat2) { errno = (int) state->no_openat2; return -1; }
    }
    return kernel(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & O_CREAT || ((flags) & O_TMPFILE) == O_TMPFILE) { \
        va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

#define OPEN(name) int name(const char *path, int flags, ...) { \
    MODE(flags) REAL(name); before("open", AT_FDCWD, path); return real(path, flags, mode); }
OPEN(open)
OPEN(open64)

#define OPENAT(name) int name(int fd, const char *path, int flags, ...) { \
    MODE(flags) REAL(name); before("openat", fd, path); return real(fd, path, flags, mode); }
OPENAT(openat)
OPENAT(openat64)

/* What compilers make of the calls above when they know the flags. */
int __open_2(const char *path, int flags) { return open(path, flags); }
int __open64_2(const char *path, int flags) { return open64(path, flags); }
int __openat_2(int fd, const char *path, int flags) { return openat(fd, path, flags); }
int __openat64_2(int fd, const char *path, int flags) { return openat64(fd, path, flags); }

#define STAT(name, type) int name(const char *path, struct type *found) { \
    REAL(name); before(#name, AT_FDCWD, path); return real(path, found); }
STAT(stat, stat)
STAT(lstat, stat)
STAT(stat64, stat64)
STAT(lstat64, stat64)

#define STATAT(name, type) int name(int fd, const char *path, struct type *found, int flags) { \
    REAL(name); before("fstatat", fd, path); return real(fd, path, found, flags); }
STATAT(fstatat, stat)
STATAT(fstatat64, stat64)

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *found) {
    REAL(statx); before("statx", fd, path); return real(fd, path, flags, mask, found);
}

int name_to_handle_at(int fd, const char *path, struct file_handle *handle, int *mount, int flags) {
    REAL(name_to_handle_at); before("name_to_handle_at", fd, path); return real(fd, path, handle, mount, flags);
}

ssize_t readlink(const char *path, char *target, size_t size) {
    REAL(readlink); before("readlink", AT_FDCWD, path); return real(path, target, size);
}

ssize_t readlinkat(int fd, const char *path, char *target, size_t size) {
    REAL(readlinkat); before("readlinkat", fd, path); return real(fd, path, target, size);
}

char *realpath(const char *path, char *found) {
    REAL(realpath); before("realpath", AT_FDCWD, path); return real(path, found);
}

int access(const char *path, int mode) { REAL(access); before("access", AT_FDCWD, path); return real(path, mode); }

int faccessat(int fd, const char *path, int mode, int flags) {
    REAL(faccessat); before("faccessat", fd, path); return real(fd, path, mode, flags);
}

int mkdir(const char *path, mode_t mode) { REAL(mkdir); before("mkdir", AT_FDCWD, path); return real(path, mode); }

int mkdirat(int fd, const char *path, mode_t mode) {
    REAL(mkdirat); before("mkdirat", fd, path); return real(fd, path, mode);
}

DIR *opendir(const char *path) { REAL(opendir); before("opendir", AT_FDCWD, path); return real(path); }

int chdir(const char *path) { REAL(chdir); before("chdir", AT_FDCWD, path); return real(path); }

int fchdir(int fd) { REAL(fchdir); always("fchdir"); return real(fd); }

int execve(const char *path, char *const argv[], char *const environment[]) {
    REAL(execve); always("execve"); return real(path, argv, environment);
}

int execv(const char *path, char *const argv[]) { REAL(execv); always("execv"); return real(path, argv); }

int execvp(const char *path, char *const argv[]) { REAL(execvp); always("execvp"); return real(path, argv); }

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *how,
                char *const argv[], char *const environment[]) {
    REAL(posix_spawn); always("posix_spawn"); return real(pid, path, actions, how, argv, environment);
}

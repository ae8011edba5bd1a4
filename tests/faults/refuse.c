/* Makes calls of the C library fail, to stand in for hardware that does.
 *
 * Preloaded into a child process. `FAULT_<call>` in the environment, also when it is set later from within the
 * process, holds the errno that the call fails with; `FAULT_pwrite_most` the most bytes that one write takes.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/types.h>
#include <unistd.h>

#define REFUSED(call) \
    do { const char *code = getenv("FAULT_" #call); if (code && *code) { errno = atoi(code); return -1; } } while (0)

#define REAL(call) (__typeof__(&call)) dlsym(RTLD_NEXT, #call)

/* How often anything was synced in this process, for a caller that asks through ctypes. */
int syncs = 0;

int fsync(int fd) { syncs++; REFUSED(fsync); return (REAL(fsync))(fd); }

int fdatasync(int fd) { syncs++; REFUSED(fdatasync); return (REAL(fdatasync))(fd); }

int flock(int fd, int operation) { REFUSED(flock); return (REAL(flock))(fd, operation); }

int ftruncate(int fd, off_t size) { REFUSED(ftruncate); return (REAL(ftruncate))(fd, size); }

int ftruncate64(int fd, off64_t size) { REFUSED(ftruncate); return (REAL(ftruncate64))(fd, size); }

int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags) {
    REFUSED(linkat);
    return (REAL(linkat))(from_fd, from, to_fd, to, flags);
}

int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned flags) {
    REFUSED(renameat2);
    return (REAL(renameat2))(from_fd, from, to_fd, to, flags);
}

static size_t most(size_t size) {
    const char *text = getenv("FAULT_pwrite_most");
    size_t limit = text && *text ? strtoul(text, NULL, 10) : size;
    return size < limit ? size : limit;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) {
    REFUSED(pwrite);
    return (REAL(pwrite))(fd, data, most(size), offset);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REFUSED(pwrite);
    return (REAL(pwrite64))(fd, data, most(size), offset);
}

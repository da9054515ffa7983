/* A library for LD_PRELOAD that stands between a process and the files of one folder.

   It counts chosen calls of libc on paths, and on descriptors of files, that lie below the folder, and at the
   Nth it fails, delivers half, or has the process killed. Everything else passes: standard streams, sockets,
   files elsewhere. A descriptor's path is what /proc says, so copies of descriptors and files of fopen count.

   Nothing here knows photoclip. preload.py is the way to use it; it sets

     HARM_BELOW     the folder: an absolute path without links
     HARM_NAME      a pattern for the last part of the path, as in a shell
     HARM_CALLS     words with a space before and after each: " open write fsync "
     HARM_AT        which of these calls; 0: none, they are only counted
     HARM_ONWARDS   1: that one and all after it
     HARM_HOW       "error 28": fail with this errno; "short": write (or read) half;
                    "before 9", "after 9": get this signal before or after the call is done
     HARM_LOG       a file; a line for each counted call: "- write /path", with "!" where harm was done
     HARM_CHILDREN  1: child processes are treated the same, each with a count of its own

   "open" stands for opening a file that is not there yet. An internal call of libc (stdio's fwrite, for one)
   cannot be seen; SQLite, Python, numpy, hnswlib (libstdc++) and Rust make none of these. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum how { NOTHING, FAIL, SHORT, BEFORE, AFTER };

static char below[PATH_MAX], name_pattern[256], calls[256];
static long at;
static int onwards, number, log_file = -1;
static enum how how;
static atomic_long count;

static void copy_setting(char *to, size_t room, const char *variable) {
    const char *value = getenv(variable);
    snprintf(to, room, "%s", value ? value : "");
}

static int is_set(const char *variable) {
    const char *value = getenv(variable);
    return value != NULL && value[0] == '1';
}

__attribute__((constructor)) static void get_ready(void) {
    static const char *const ours[] = {"LD_PRELOAD", "HARM_BELOW", "HARM_NAME", "HARM_CALLS", "HARM_AT",
                                       "HARM_ONWARDS", "HARM_HOW", "HARM_LOG", "HARM_CHILDREN"};
    char text[PATH_MAX], word[16];
    copy_setting(below, sizeof below, "HARM_BELOW");
    copy_setting(name_pattern, sizeof name_pattern, "HARM_NAME");
    copy_setting(text, sizeof text, "HARM_AT");
    at = strtol(text, NULL, 10);
    onwards = is_set("HARM_ONWARDS");
    copy_setting(text, sizeof text, "HARM_HOW");
    if (sscanf(text, "%15s %d", word, &number) >= 1)
        how = !strcmp(word, "error") ? FAIL : !strcmp(word, "short") ? SHORT : !strcmp(word, "before") ? BEFORE : AFTER;
    copy_setting(text, sizeof text, "HARM_LOG");
    if (text[0] != '\0')
        log_file = (int)syscall(SYS_openat, AT_FDCWD, text, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    copy_setting(calls, sizeof calls, "HARM_CALLS");
    if (!is_set("HARM_CHILDREN"))
        for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
            unsetenv(ours[i]);
}

/* -- which calls count ------------------------------------------------------------------------------------ */

static int is_chosen(const char *call) {
    char word[32];
    snprintf(word, sizeof word, " %s ", call);
    return strstr(calls, word) != NULL;
}

static int lies_below(const char *path) {
    size_t length = strlen(below);
    if (length == 0 || strncmp(path, below, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return 0;
    const char *last = strrchr(path, '/');
    return fnmatch(name_pattern, last + 1, 0) == 0;
}

static void path_of_descriptor(int descriptor, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, PATH_MAX - 1);
    path[length > 0 ? length : 0] = '\0';
}

static void path_of_name(int folder, const char *name, char *path) {
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    char start[PATH_MAX];
    if (folder != AT_FDCWD)
        path_of_descriptor(folder, start);
    else if (getcwd(start, sizeof start) == NULL)
        start[0] = '\0';
    if (snprintf(path, PATH_MAX, "%s/%s", start, name) >= PATH_MAX)
        path[0] = '\0';
}

/* Count the call if it counts, and return what is to be done to it. A signal "before" is sent here. */
static enum how meet(const char *call, const char *path) {
    if (!lies_below(path))
        return NOTHING;
    long now = atomic_fetch_add(&count, 1) + 1;
    int harmed = at > 0 && (now == at || (onwards && now > at));
    if (log_file >= 0) {
        char line[PATH_MAX + 64];
        int length = snprintf(line, sizeof line, "%c %s %s\n", harmed ? '!' : '-', call, path);
        syscall(SYS_write, log_file, line, length);
    }
    if (harmed && how == BEFORE)
        kill(getpid(), number);
    return harmed ? how : NOTHING;
}

static enum how meet_descriptor(const char *call, int descriptor) {
    if (!is_chosen(call))
        return NOTHING;
    int kept = errno;
    char path[PATH_MAX];
    path_of_descriptor(descriptor, path);
    enum how what = meet(call, path);
    errno = kept;
    return what;
}

static enum how meet_name(const char *call, int folder, const char *name) {
    if (!is_chosen(call) || name == NULL)
        return NOTHING;
    int kept = errno;
    char path[PATH_MAX];
    path_of_name(folder, name, path);
    enum how what = meet(call, path);
    errno = kept;
    return what;
}

static enum how meet_new(int folder, const char *name) {
    int kept = errno;
    enum how what = faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) ? meet_name("open", folder, name) : NOTHING;
    errno = kept;
    return what;
}

static void finish(enum how what) {
    if (what == AFTER) {
        int kept = errno;
        kill(getpid(), number);
        errno = kept;
    }
}

static size_t half(size_t size) { return size > 1 ? size / 2 : size; }

/* -- the calls -------------------------------------------------------------------------------------------- */

#define REAL(result, call, ...)                                       \
    static result (*real)(__VA_ARGS__);                               \
    if (real == NULL)                                                 \
        *(void **)&real = dlsym(RTLD_NEXT, call)

/* The body of a stand-in: MEETING decides, PASS is the real call, ERROR its answer when it fails. */
#define STAND_IN(result, meeting, pass, error) \
    enum how what = meeting;                   \
    if (what == FAIL) {                        \
        errno = number;                        \
        return error;                          \
    }                                          \
    result answer = pass;                      \
    finish(what);                              \
    return answer

#define OPEN(name)                                                                                      \
    int name(const char *path, int flags, ...) {                                                        \
        REAL(int, #name, const char *, int, ...);                                                       \
        va_list rest;                                                                                   \
        va_start(rest, flags);                                                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                         \
        va_end(rest);                                                                                   \
        STAND_IN(int, flags & O_CREAT ? meet_new(AT_FDCWD, path) : NOTHING,                              \
                 real(path, flags, mode), -1);                                                          \
    }

#define OPENAT(name)                                                                                    \
    int name(int folder, const char *path, int flags, ...) {                                            \
        REAL(int, #name, int, const char *, int, ...);                                                  \
        va_list rest;                                                                                   \
        va_start(rest, flags);                                                                          \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                         \
        va_end(rest);                                                                                   \
        STAND_IN(int, flags & O_CREAT ? meet_new(folder, path) : NOTHING,                                \
                 real(folder, path, flags, mode), -1);                                                  \
    }

#define FOPEN(name)                                                                                     \
    FILE *name(const char *path, const char *mode) {                                                    \
        REAL(FILE *, #name, const char *, const char *);                                                \
        STAND_IN(FILE *, mode[0] != 'r' ? meet_new(AT_FDCWD, path) : NOTHING,                            \
                 real(path, mode), NULL);                                                               \
    }

#define MOVE_BYTES(name, call, buffer)                                                                  \
    ssize_t name(int descriptor, buffer bytes, size_t size) {                                           \
        REAL(ssize_t, #name, int, buffer, size_t);                                                      \
        STAND_IN(ssize_t, meet_descriptor(call, descriptor),                                            \
                 real(descriptor, bytes, what == SHORT ? half(size) : size), -1);                       \
    }

#define MOVE_BYTES_AT(name, call, buffer, offset_type)                                                  \
    ssize_t name(int descriptor, buffer bytes, size_t size, offset_type offset) {                       \
        REAL(ssize_t, #name, int, buffer, size_t, offset_type);                                         \
        STAND_IN(ssize_t, meet_descriptor(call, descriptor),                                            \
                 real(descriptor, bytes, what == SHORT ? half(size) : size, offset), -1);               \
    }

#define ON_DESCRIPTOR(name)                                                                             \
    int name(int descriptor) {                                                                          \
        REAL(int, #name, int);                                                                          \
        STAND_IN(int, meet_descriptor(#name, descriptor), real(descriptor), -1);                        \
    }

#define TRUNCATE(name, offset_type)                                                                     \
    int name(int descriptor, offset_type size) {                                                        \
        REAL(int, #name, int, offset_type);                                                             \
        STAND_IN(int, meet_descriptor("ftruncate", descriptor), real(descriptor, size), -1);            \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
FOPEN(fopen)
FOPEN(fopen64)
MOVE_BYTES(read, "read", void *)
MOVE_BYTES(write, "write", const void *)
MOVE_BYTES_AT(pread, "read", void *, off_t)
MOVE_BYTES_AT(pread64, "read", void *, off64_t)
MOVE_BYTES_AT(pwrite, "write", const void *, off_t)
MOVE_BYTES_AT(pwrite64, "write", const void *, off64_t)
ON_DESCRIPTOR(fsync)
ON_DESCRIPTOR(fdatasync)
TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

ssize_t writev(int descriptor, const struct iovec *parts, int amount) {
    REAL(ssize_t, "writev", int, const struct iovec *, int);
    /* half of several parts is the first of them */
    STAND_IN(ssize_t, meet_descriptor("write", descriptor), real(descriptor, parts, what == SHORT ? 1 : amount), -1);
}

ssize_t copy_file_range(int from, off64_t *start, int to, off64_t *end, size_t size, unsigned int flags) {
    REAL(ssize_t, "copy_file_range", int, off64_t *, int, off64_t *, size_t, unsigned int);
    STAND_IN(ssize_t, meet_descriptor("write", to), real(from, start, to, end, what == SHORT ? half(size) : size, flags),
             -1);
}

ssize_t sendfile64(int to, int from, off64_t *start, size_t size) {
    REAL(ssize_t, "sendfile64", int, int, off64_t *, size_t);
    STAND_IN(ssize_t, meet_descriptor("write", to), real(to, from, start, what == SHORT ? half(size) : size), -1);
}

int rename(const char *from, const char *to) {
    REAL(int, "rename", const char *, const char *);
    STAND_IN(int, meet_name("rename", AT_FDCWD, to), real(from, to), -1);
}

int renameat(int from_folder, const char *from, int folder, const char *to) {
    REAL(int, "renameat", int, const char *, int, const char *);
    STAND_IN(int, meet_name("rename", folder, to), real(from_folder, from, folder, to), -1);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    STAND_IN(int, meet_name("unlink", AT_FDCWD, path), real(path), -1);
}

int unlinkat(int folder, const char *path, int flags) {
    REAL(int, "unlinkat", int, const char *, int);
    STAND_IN(int, meet_name("unlink", folder, path), real(folder, path, flags), -1);
}

int mkdir(const char *path, mode_t mode) {
    REAL(int, "mkdir", const char *, mode_t);
    STAND_IN(int, meet_name("mkdir", AT_FDCWD, path), real(path, mode), -1);
}

// For LD_PRELOAD: reads of files whose path contains SHIM_MATCH take SHIM_MS milliseconds, then fail with SHIM_ERRNO
// unless it is 0.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int matched[4096];

static int open_file(const char *name, const char *path, int flags, int mode) {
  int (*real)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
  const char *match = getenv("SHIM_MATCH");
  int fd = real(path, flags, mode);
  if (fd >= 0 && fd < 4096) matched[fd] = match && strstr(path, match) != NULL;
  return fd;
}

int open(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = va_arg(arguments, int);
  va_end(arguments);
  return open_file("open", path, flags, mode);
}

int open64(const char *path, int flags, ...) {
  va_list arguments;
  va_start(arguments, flags);
  int mode = va_arg(arguments, int);
  va_end(arguments);
  return open_file("open64", path, flags, mode);
}

ssize_t read(int fd, void *buffer, size_t size) {
  ssize_t (*real)(int, void *, size_t) = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
  if (fd >= 0 && fd < 4096 && matched[fd]) {
    const char *milliseconds = getenv("SHIM_MS"), *error = getenv("SHIM_ERRNO");
    if (milliseconds && matched[fd] == 1) usleep(atoi(milliseconds) * 1000);
    matched[fd] = 2;
    if (error && atoi(error)) {
      errno = atoi(error);
      return -1;
    }
  }
  return real(fd, buffer, size);
}

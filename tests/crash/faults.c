/* A shared object to be preloaded into a program whose disk is to fail: calls on files of a database return an error while
   the control file says so, which MQLOOP_FAULTS names and faults.py writes. Nothing is done by a call that fails. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

enum { kWrite = 1, kSync = 2, kTruncate = 4 };

/* As faults.py writes it. */
typedef struct {
  _Atomic int calls;  /* which fail: kWrite, kSync, kTruncate added up; 0: none */
  _Atomic int error;  /* an errno */
  _Atomic int spared; /* so many of these calls go well before that */
  _Atomic int times;  /* so many fail; -1: all from then on */
  _Atomic int failed; /* so many have */
} Control;

static Control* control;

__attribute__((constructor)) static void open_control(void) {
  const char* name = getenv("MQLOOP_FAULTS");
  const int file = name != NULL ? open(name, O_RDWR | O_CLOEXEC) : -1;
  void* place = file >= 0 ? mmap(NULL, sizeof *control, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0) : MAP_FAILED;
  if (place == MAP_FAILED) {
    fprintf(stderr, "faults: no control file\n");
    _exit(99);
  }
  close(file);
  control = place;
}

static int is_of_a_database(int file) {
  char link[64], path[4096];
  ssize_t length;
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  length = readlink(link, path, sizeof path - 1);
  if (length <= 0) return 0;
  path[length] = '\0';
  return strstr(path, ".db") != NULL;
}

static int fails(int call, int file) {
  int left;
  if (control == NULL || (atomic_load(&control->calls) & call) == 0 || !is_of_a_database(file)) return 0;
  if (atomic_load(&control->spared) > 0 && atomic_fetch_sub(&control->spared, 1) > 0) return 0;
  left = atomic_load(&control->times);
  do {
    if (left == 0) return 0;
  } while (left > 0 && !atomic_compare_exchange_weak(&control->times, &left, left - 1));
  atomic_fetch_add(&control->failed, 1);
  errno = atomic_load(&control->error);
  return 1;
}

#define NEXT(name, type) ((type)dlsym(RTLD_NEXT, name))

ssize_t write(int file, const void* data, size_t size) {
  typedef ssize_t (*Call)(int, const void*, size_t);
  return fails(kWrite, file) ? -1 : NEXT("write", Call)(file, data, size);
}

ssize_t pwrite(int file, const void* data, size_t size, off_t at) {
  typedef ssize_t (*Call)(int, const void*, size_t, off_t);
  return fails(kWrite, file) ? -1 : NEXT("pwrite", Call)(file, data, size, at);
}

ssize_t pwrite64(int file, const void* data, size_t size, off64_t at) {
  typedef ssize_t (*Call)(int, const void*, size_t, off64_t);
  return fails(kWrite, file) ? -1 : NEXT("pwrite64", Call)(file, data, size, at);
}

int fsync(int file) {
  typedef int (*Call)(int);
  return fails(kSync, file) ? -1 : NEXT("fsync", Call)(file);
}

int fdatasync(int file) {
  typedef int (*Call)(int);
  return fails(kSync, file) ? -1 : NEXT("fdatasync", Call)(file);
}

int ftruncate(int file, off_t size) {
  typedef int (*Call)(int, off_t);
  return fails(kTruncate, file) ? -1 : NEXT("ftruncate", Call)(file, size);
}

int ftruncate64(int file, off64_t size) {
  typedef int (*Call)(int, off64_t);
  return fails(kTruncate, file) ? -1 : NEXT("ftruncate64", Call)(file, size);
}

/* The benchmark's measure: messages over socketpair(2) and fork(2), done plainly. One write sends a message, header and
 * payload in one buffer; two reads receive it. No buffer is ever copied or allocated anew.
 *
 * usage: c WORKLOAD SIZE COUNT WARM
 */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_EVERY = 8 << 20, PAUSE_NANOSECONDS = 10000000, EXCHANGES = 100 };

static size_t size;
static char *outgoing; /* the header, then the message */
static char *incoming;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static void write_all(int fd, const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t n = write(fd, bytes, length);
    if (n <= 0) fail("write");
    bytes += n;
    length -= n;
  }
}

static int read_all(int fd, void *into, size_t length) {
  char *bytes = into;
  while (length > 0) {
    ssize_t n = read(fd, bytes, length);
    if (n < 0) fail("read");
    if (n == 0) return 0;
    bytes += n;
    length -= n;
  }
  return 1;
}

static void send_message(int fd) {
  write_all(fd, outgoing, sizeof(uint32_t) + size);
}

static void send_number(int fd, uint32_t number) {
  uint32_t frame[] = {sizeof number, number};
  write_all(fd, (char *)frame, sizeof frame);
}

static void receive_message(int fd) {
  uint32_t length;
  if (!read_all(fd, &length, sizeof length)) fail("receive: closed");
  if (length != size) fail("receive: wrong length");
  if (!read_all(fd, incoming, length)) fail("receive: truncated");
}

static uint32_t receive_number(int fd) {
  uint32_t frame[2];
  if (!read_all(fd, frame, sizeof frame)) fail("receive: closed");
  return frame[1];
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

struct sending {
  int fd;
  uint32_t count;
};

static void *send_many(void *argument) {
  struct sending *sending = argument;
  for (uint32_t i = 0; i < sending->count; i++) send_message(sending->fd);
  return NULL;
}

static uint32_t receive_many(int fd, uint32_t count, int slowly) {
  static const struct timespec pause = {0, PAUSE_NANOSECONDS};
  uint64_t until_pause = PAUSE_EVERY;
  uint32_t received = 0;
  for (; received < count; received++) {
    receive_message(fd);
    if (slowly && (until_pause -= size) < size) {
      nanosleep(&pause, NULL);
      until_pause = PAUSE_EVERY;
    }
  }
  return received;
}

static uint32_t send_and_receive_many(int fd, uint32_t count) {
  struct sending sending = {fd, count};
  pthread_t thread;
  if (pthread_create(&thread, NULL, send_many, &sending) != 0) fail("pthread_create");
  uint32_t received = receive_many(fd, count, 0);
  pthread_join(thread, NULL);
  return received;
}

static void child(int fd, const char *workload, uint32_t count) {
  if (strcmp(workload, "roundtrip") == 0 || strcmp(workload, "children") == 0) {
    for (uint32_t i = 0; i < count; i++) {
      receive_message(fd);
      send_message(fd);
    }
  } else if (strcmp(workload, "both") == 0) {
    send_number(fd, send_and_receive_many(fd, count));
  } else {
    send_number(fd, receive_many(fd, count, strcmp(workload, "slow") == 0));
  }
}

static uint32_t parent(int fd, const char *workload, uint32_t count) {
  if (strcmp(workload, "roundtrip") == 0) {
    for (uint32_t i = 0; i < count; i++) {
      send_message(fd);
      receive_message(fd);
    }
    return count;
  }
  if (strcmp(workload, "both") == 0) {
    uint32_t received = send_and_receive_many(fd, count);
    return received + receive_number(fd);
  }
  send_many(&(struct sending){fd, count});
  return receive_number(fd);
}

static pid_t start(int *fd, const char *workload, uint32_t warm, uint32_t count) {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) fail("socketpair");
  pid_t pid = fork();
  if (pid < 0) fail("fork");
  if (pid == 0) {
    close(pair[0]);
    child(pair[1], workload, warm);
    child(pair[1], workload, count);
    char end;
    if (strcmp(workload, "children") != 0) read_all(pair[1], &end, 1);
    _exit(0);
  }
  close(pair[1]);
  *fd = pair[0];
  return pid;
}

static void children(uint32_t count) {
  int *fds = calloc(count, sizeof *fds);
  double began = now();
  for (uint32_t i = 0; i < count; i++) start(&fds[i], "children", 0, EXCHANGES);
  for (int round = 0; round < EXCHANGES; round++) {
    for (uint32_t i = 0; i < count; i++) send_message(fds[i]);
    for (uint32_t i = 0; i < count; i++) receive_message(fds[i]);
  }
  for (uint32_t i = 0; i < count; i++) wait(NULL);
  printf("{\"messages\":%u,\"seconds\":%f}\n", count * EXCHANGES, now() - began);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  const char *workload = argv[1];
  size = strtoul(argv[2], NULL, 10);
  uint32_t count = strtoul(argv[3], NULL, 10), warm = strtoul(argv[4], NULL, 10);
  outgoing = malloc(sizeof(uint32_t) + size);
  incoming = malloc(size);
  if (outgoing == NULL || incoming == NULL) fail("malloc");
  memcpy(outgoing, &(uint32_t){size}, sizeof(uint32_t));
  memset(outgoing + sizeof(uint32_t), 'x', size);

  if (strcmp(workload, "children") == 0) {
    children(count);
    return 0;
  }
  int fd;
  pid_t pid = start(&fd, workload, warm, count);
  parent(fd, workload, warm);
  int slow = strcmp(workload, "slow") == 0;
  if (slow) {
    printf("{\"pids\":[%d,%d]}\n", getpid(), pid);
    fflush(stdout);
    getchar();
  }
  double began = now();
  uint32_t messages = parent(fd, workload, count);
  printf("{\"messages\":%u,\"seconds\":%f}\n", messages, now() - began);
  fflush(stdout);
  if (slow) getchar();
  close(fd);
  wait(NULL);
  return 0;
}

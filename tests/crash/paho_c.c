/* Paho C, the client with blocking calls, as process_client.py tells. It keeps what is in flight in memory and sends it again
   when it is connected again. Records are written at once, `send` before Paho gets the message.
   What Debian 12 has, 1.3.12, sets limits: its asynchronous client sends messages again whose topic it has freed, when a
   write has failed; the one with blocking calls does not tell with MQTT 5.0 whether the session was there. So it is 3.1.1. */
#include <MQTTClient.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kWindow = 8, kStreams = 8, kClearedEvery = 5, kLargest = 8192, kTokens = 65536 };

typedef struct {
  char topic[128];
  int qos;
  int retain;
  unsigned number;
} Stream;

typedef struct {
  const Stream* stream; /* NULL: not in flight */
  unsigned number;
  int is_early; /* acknowledged before it was known which message the token is of */
} Sent;

/* Of what Paho's thread touches too. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static MQTTClient client;
static int had_session, is_connected, wants_online;
/* The publisher's. */
static Stream streams[kStreams];
static Sent sent[kTokens];
static int stream_count, in_flight, to_send, is_running, is_settled = 1;
static double rate, since;
static unsigned count;
/* The subscriber's. */
static const char* filter;
static int filter_qos;

static void die(const char* what, int code) {
  fprintf(stderr, "paho_c: %s: %d\n", what, code);
  _Exit(1);
}

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void tell(const char* line) {
  const size_t length = strlen(line);
  if (write(1, line, length) != (ssize_t)length) die("write", 0);
}

static void tell_of(const char* word, const Stream* stream, unsigned number) {
  char line[256];
  snprintf(line, sizeof line, "%s %s %u\n", word, stream->topic, number);
  tell(line);
}

static unsigned payload_size(unsigned number) { return number % 97 == 0 ? 6000 : number * 37 % 300; }

static size_t write_payload(char* out, unsigned number) {
  const size_t digits = (size_t)sprintf(out, "%u ", number);
  memset(out + digits, '.', payload_size(number));
  return digits + payload_size(number);
}

/* 0 when the payload is not one that was ever sent. */
static unsigned number_in(const char* payload, size_t length) {
  char expected[kLargest], digits[16] = "";
  unsigned number;
  if (length == 0 || length > sizeof expected - 16) return 0;
  memcpy(digits, payload, length < sizeof digits - 1 ? length : sizeof digits - 1);
  number = (unsigned)strtoul(digits, NULL, 10);
  return write_payload(expected, number) == length && memcmp(expected, payload, length) == 0 ? number : 0;
}

/* ---- publishing */

/* With the mutex held. */
static void complete(int token, const char* word) {
  tell_of(word, sent[token].stream, sent[token].number);
  sent[token] = (Sent){NULL, 0, 0};
  --in_flight;
}

static void on_delivered(void* context, MQTTClient_deliveryToken token) {
  (void)context;
  pthread_mutex_lock(&mutex);
  if (sent[token].stream != NULL) {
    complete(token, "ack");
  } else {
    sent[token].is_early = 1;
  }
  pthread_mutex_unlock(&mutex);
}

static int hand_over(Stream* stream, const char* payload, int length, MQTTClient_deliveryToken* token) {
  MQTTClient_message message = MQTTClient_message_initializer;
  message.qos = stream->qos;
  message.retained = stream->retain;
  message.payload = (void*)payload;
  message.payloadlen = length;
  return MQTTClient_publishMessage(client, stream->topic, &message, token);
}

static void publish(Stream* stream) {
  static char payload[kLargest];
  const unsigned number = ++stream->number;
  const int is_clearing = stream->retain && number % kClearedEvery == 0;
  const int length = is_clearing ? 0 : (int)write_payload(payload, number);
  MQTTClient_deliveryToken token = 0;
  int code;
  tell_of("send", stream, number);
  code = hand_over(stream, payload, length, &token);
  pthread_mutex_lock(&mutex);
  if (code != MQTTCLIENT_SUCCESS) {
    tell_of("void", stream, number);
  } else {
    const int is_early = sent[token].is_early;
    sent[token] = (Sent){stream, number, 0};
    ++in_flight;
    if (is_early) complete(token, "ack");
  }
  pthread_mutex_unlock(&mutex);
}

static int may_send(void) {
  int result;
  pthread_mutex_lock(&mutex);
  result = is_connected && in_flight < kWindow;
  pthread_mutex_unlock(&mutex);
  return result;
}

static int is_idle(void) {
  int result;
  pthread_mutex_lock(&mutex);
  result = in_flight == 0;
  pthread_mutex_unlock(&mutex);
  return result;
}

static void work(void) {
  while (to_send > 0 && may_send()) publish(&streams[--to_send]);
  while (is_running && count < rate * (now() - since) && may_send()) publish(&streams[count++ % (unsigned)stream_count]);
  if (!is_running && !is_settled && to_send == 0 && is_idle()) {
    is_settled = 1;
    tell("settled\n");
  }
}

/* ---- subscribing */

static int on_message(void* context, char* topic, int length, MQTTClient_message* message) {
  char line[256];
  (void)context;
  (void)length;
  snprintf(line, sizeof line, "got %s %u %d\n", topic, number_in(message->payload, (size_t)message->payloadlen), message->qos);
  tell(line);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
  return 1;
}

static void subscribe(void) {
  char line[256];
  if (MQTTClient_subscribe(client, filter, filter_qos) != MQTTCLIENT_SUCCESS) return; /* the connection has ended */
  snprintf(line, sizeof line, "suback %s\n", filter);
  tell(line);
}

/* ---- the connection */

static void set_connected(int value) {
  pthread_mutex_lock(&mutex);
  if (is_connected && !value) tell("closed\n");
  is_connected = value;
  pthread_mutex_unlock(&mutex);
}

static void on_lost(void* context, char* cause) {
  (void)context;
  (void)cause;
  set_connected(0);
}

static void forget_all(void) {
  pthread_mutex_lock(&mutex);
  for (int token = 0; token != kTokens; ++token) {
    if (sent[token].stream != NULL) complete(token, "void");
  }
  pthread_mutex_unlock(&mutex);
}

/* Whether CONNACK came. */
static int connect_once(int* is_session_present) {
  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
  int code;
  options.MQTTVersion = MQTTVERSION_3_1_1;
  options.cleansession = 0;
  options.reliable = 0;
  options.maxInflightMessages = 100;
  options.connectTimeout = 10;
  code = MQTTClient_connect(client, &options);
  *is_session_present = options.returned.sessionPresent;
  return code == MQTTCLIENT_SUCCESS;
}

static void connect_if_wanted(void) {
  char line[32];
  int is_session_present = 0, is_due;
  pthread_mutex_lock(&mutex);
  is_due = wants_online && !is_connected;
  pthread_mutex_unlock(&mutex);
  if (!is_due || !connect_once(&is_session_present)) return;
  snprintf(line, sizeof line, "session %d %d\n", is_session_present, had_session);
  tell(line);
  if (!is_session_present) forget_all();
  had_session = 1;
  /* Paho tells of a connection that ends while it begins by this alone. */
  set_connected(MQTTClient_isConnected(client));
  if (filter != NULL && !is_session_present) subscribe();
}

static void go_offline(void) {
  wants_online = 0;
  pthread_mutex_lock(&mutex);
  is_connected = 0;
  pthread_mutex_unlock(&mutex);
  MQTTClient_disconnect(client, 0);
}

/* ---- orders */

static void obey(const char* line) {
  if (sscanf(line, "go %lf", &rate) == 1) {
    is_running = 1;
    is_settled = 0;
    since = now();
    count = 0;
  } else if (strcmp(line, "settle") == 0) {
    is_running = 0;
    to_send = stream_count;
  } else if (strcmp(line, "online") == 0) {
    wants_online = 1;
  } else if (strcmp(line, "offline") == 0) {
    go_offline();
  } else {
    _Exit(0);
  }
}

static void read_orders(void) {
  static char text[4096];
  static size_t length;
  char* end;
  struct pollfd input = {0, POLLIN, 0};
  ssize_t got;
  if (poll(&input, 1, 2) <= 0) return;
  got = read(0, text + length, sizeof text - 1 - length);
  if (got <= 0) _Exit(0);
  length += (size_t)got;
  text[length] = '\0';
  while ((end = strchr(text, '\n')) != NULL) {
    *end = '\0';
    obey(text);
    length -= (size_t)(end + 1 - text);
    memmove(text, end + 1, length + 1);
  }
}

int main(int argc, char** argv) {
  char address[64];
  int is_publisher;
  if (argc < 6) return 2;
  is_publisher = strcmp(argv[1], "publish") == 0;
  if (strcmp(argv[4], "4") != 0) die("MQTT 3.1.1 only", 0);
  if (is_publisher) {
    wants_online = 1;
    for (int i = 5; i != argc && stream_count != kStreams; ++i, ++stream_count) {
      Stream* stream = &streams[stream_count];
      if (sscanf(argv[i], "%127[^:]:%d:%d", stream->topic, &stream->qos, &stream->retain) != 3) return 2;
    }
  } else {
    if (argc != 7) return 2;
    filter_qos = atoi(argv[5]);
    filter = argv[6];
  }
  snprintf(address, sizeof address, "tcp://127.0.0.1:%s", argv[2]);
  if (MQTTClient_create(&client, address, argv[3], MQTTCLIENT_PERSISTENCE_NONE, NULL) != MQTTCLIENT_SUCCESS) die("create", 0);
  MQTTClient_setCallbacks(client, NULL, on_lost, on_message, on_delivered);
  for (;;) {
    read_orders();
    connect_if_wanted();
    if (is_publisher) work();
  }
}

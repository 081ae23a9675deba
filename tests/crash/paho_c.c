/* Paho C, the asynchronous client, as process_client.py tells. It reconnects by itself, keeps what is in flight in memory and
   sends it again. Records are written at once, `send` before Paho gets the message. */
#include <MQTTAsync.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { kWindow = 8, kStreams = 8, kClearedEvery = 5, kLargest = 8192 };

typedef struct {
  char topic[128];
  int qos;
  int retain;
  unsigned number;
} Stream;

typedef struct {
  const Stream* stream;
  unsigned number;
} Sent;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static MQTTAsync client;
static int version, had_session, is_connected, is_connecting, wants_online;
/* The publisher's. */
static Stream streams[kStreams];
static int stream_count, in_flight, is_running, is_settled = 1;
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

/* `code`: a reason code, or less than 0 for a message that ended with its session or connection. */
static void acknowledged(void* context, int code) {
  Sent* sent = context;
  char line[256];
  if (code < 0) {
    snprintf(line, sizeof line, "void %s %u\n", sent->stream->topic, sent->number);
  } else if (code < 0x80) {
    snprintf(line, sizeof line, "ack %s %u\n", sent->stream->topic, sent->number);
  } else {
    snprintf(line, sizeof line, "refused %s %u %d\n", sent->stream->topic, sent->number, code);
  }
  pthread_mutex_lock(&mutex);
  --in_flight;
  pthread_mutex_unlock(&mutex);
  tell(line);
  free(sent);
}

static void on_published(void* context, MQTTAsync_successData* data) {
  (void)data;
  acknowledged(context, 0);
}
static void on_published5(void* context, MQTTAsync_successData5* data) {
  (void)data;
  acknowledged(context, 0);
}
static void on_unpublished(void* context, MQTTAsync_failureData* data) {
  acknowledged(context, data != NULL && data->code < 0 ? data->code : MQTTASYNC_FAILURE);
}
static void on_unpublished5(void* context, MQTTAsync_failureData5* data) {
  const int is_refused = data != NULL && (int)data->reasonCode >= 0x80;
  acknowledged(context, is_refused ? (int)data->reasonCode : MQTTASYNC_FAILURE);
}

static void publish(Stream* stream) {
  static char payload[kLargest];
  char line[256];
  Sent* sent = malloc(sizeof *sent);
  MQTTAsync_message message = MQTTAsync_message_initializer;
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  int code;
  if (sent == NULL) die("malloc", 0);
  sent->stream = stream;
  sent->number = ++stream->number;
  message.qos = stream->qos;
  message.retained = stream->retain;
  if (!stream->retain || sent->number % kClearedEvery != 0) message.payloadlen = (int)write_payload(payload, sent->number);
  message.payload = payload;
  options.context = sent;
  if (version == 5) {
    options.onSuccess5 = on_published5;
    options.onFailure5 = on_unpublished5;
  } else {
    options.onSuccess = on_published;
    options.onFailure = on_unpublished;
  }
  snprintf(line, sizeof line, "send %s %u\n", stream->topic, sent->number);
  tell(line);
  pthread_mutex_lock(&mutex);
  ++in_flight;
  pthread_mutex_unlock(&mutex);
  code = MQTTAsync_sendMessage(client, stream->topic, &message, &options);
  if (code != MQTTASYNC_SUCCESS) die("sendMessage", code);
}

static int waiting(void) {
  int result;
  pthread_mutex_lock(&mutex);
  result = in_flight;
  pthread_mutex_unlock(&mutex);
  return result;
}

static void work(void) {
  while (is_running && waiting() < kWindow && count < rate * (now() - since)) publish(&streams[count++ % stream_count]);
  if (!is_running && !is_settled && waiting() == 0) {
    is_settled = 1;
    tell("settled\n");
  }
}

/* ---- subscribing */

static int on_message(void* context, char* topic, int length, MQTTAsync_message* message) {
  char line[256];
  (void)context;
  (void)length;
  snprintf(line, sizeof line, "got %s %u %d\n", topic, number_in(message->payload, (size_t)message->payloadlen), message->qos);
  tell(line);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(topic);
  return 1;
}

static void tell_suback(void) {
  char line[256];
  snprintf(line, sizeof line, "suback %s\n", filter);
  tell(line);
}
static void on_subscribed(void* context, MQTTAsync_successData* data) {
  (void)context;
  (void)data;
  tell_suback();
}
static void on_subscribed5(void* context, MQTTAsync_successData5* data) {
  (void)context;
  (void)data;
  tell_suback();
}

/* ---- the connection */

static void connected(int is_session_present) {
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  tell(is_session_present ? (had_session ? "session 1 1\n" : "session 1 0\n") : (had_session ? "session 0 1\n" : "session 0 0\n"));
  had_session = 1;
  if (filter != NULL && !is_session_present) {
    options.onSuccess = version == 5 ? NULL : on_subscribed;
    options.onSuccess5 = version == 5 ? on_subscribed5 : NULL;
    MQTTAsync_subscribe(client, filter, filter_qos, &options);
  }
  pthread_mutex_lock(&mutex);
  is_connected = 1;
  is_connecting = 0;
  pthread_mutex_unlock(&mutex);
}

static void on_connected(void* context, MQTTAsync_successData* data) {
  (void)context;
  connected(data->alt.connect.sessionPresent);
}
static void on_connected5(void* context, MQTTAsync_successData5* data) {
  (void)context;
  connected(data->alt.connect.sessionPresent);
}
static void is_gone(void) {
  pthread_mutex_lock(&mutex);
  if (is_connected) tell("closed\n");
  is_connected = is_connecting = 0;
  pthread_mutex_unlock(&mutex);
}
static void on_unconnected(void* context, MQTTAsync_failureData* data) {
  (void)context;
  (void)data;
  is_gone();
}
static void on_unconnected5(void* context, MQTTAsync_failureData5* data) {
  (void)context;
  (void)data;
  is_gone();
}
static void on_lost(void* context, char* cause) {
  (void)context;
  (void)cause;
  is_gone();
}

static void connect_if_wanted(void) {
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions options5 = MQTTAsync_connectOptions_initializer5;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry;
  int is_due;
  pthread_mutex_lock(&mutex);
  is_due = wants_online && !is_connected && !is_connecting;
  if (is_due) is_connecting = 1;
  pthread_mutex_unlock(&mutex);
  if (!is_due) return;
  options.MQTTVersion = version;
  options.cleansession = 0;
  options.onSuccess = on_connected;
  options.onFailure = on_unconnected;
  expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
  expiry.value.integer4 = 0xFFFFFFFF;
  MQTTProperties_add(&properties, &expiry);
  options5.cleanstart = 0;
  options5.connectProperties = &properties;
  options5.onSuccess5 = on_connected5;
  options5.onFailure5 = on_unconnected5;
  options.maxInflight = options5.maxInflight = 100;
  if (MQTTAsync_connect(client, version == 5 ? &options5 : &options) != MQTTASYNC_SUCCESS) is_gone();
  MQTTProperties_free(&properties);
}

static void go_offline(void) {
  MQTTAsync_disconnectOptions options = MQTTAsync_disconnectOptions_initializer;
  wants_online = 0;
  MQTTAsync_disconnect(client, &options);
  pthread_mutex_lock(&mutex);
  is_connected = is_connecting = 0;
  pthread_mutex_unlock(&mutex);
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
    for (int i = 0; i != stream_count; ++i) publish(&streams[i]);
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
  MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
  char address[64];
  int is_publisher;
  if (argc < 6) return 2;
  is_publisher = strcmp(argv[1], "publish") == 0;
  version = atoi(argv[4]);
  if (is_publisher) {
    wants_online = 1;
    for (int i = 5; i != argc && stream_count != kStreams; ++i, ++stream_count) {
      Stream* stream = &streams[stream_count];
      if (sscanf(argv[i], "%127[^:]:%d:%d", stream->topic, &stream->qos, &stream->retain) != 3) return 2;
    }
  } else {
    filter_qos = atoi(argv[5]);
    filter = argv[6];
  }
  snprintf(address, sizeof address, "tcp://127.0.0.1:%s", argv[2]);
  options.MQTTVersion = version;
  options.sendWhileDisconnected = 1;
  options.maxBufferedMessages = 1000;
  if (MQTTAsync_createWithOptions(&client, address, argv[3], MQTTCLIENT_PERSISTENCE_NONE, NULL, &options) !=
      MQTTASYNC_SUCCESS) {
    die("create", 0);
  }
  MQTTAsync_setCallbacks(client, NULL, on_lost, on_message, NULL);
  for (;;) {
    read_orders();
    connect_if_wanted();
    if (is_publisher) work();
  }
}

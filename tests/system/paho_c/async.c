/* Paho C, the asynchronous client: a stream of messages to itself at one QoS, and the properties of 5.0. Prints "ok" or
   what went wrong.   async ADDRESS PREFIX 3|4|5 QOS COUNT */
#include <MQTTAsync.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int subscribed, received, completed, wrong;
static char topic[256];
static int version, qos, count;

static void fail(const char* what, int code) {
  printf("%s: %d\n", what, code);
  fflush(stdout);
  _Exit(1);
}

static void change(int* value, int to) {
  pthread_mutex_lock(&mutex);
  *value = to;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
}

static void wait_for(const int* value, int wanted, const char* what) {
  struct timespec end;
  clock_gettime(CLOCK_REALTIME, &end);
  end.tv_sec += 40;
  pthread_mutex_lock(&mutex);
  while (*value < wanted) {
    if (pthread_cond_timedwait(&changed, &mutex, &end) != 0) fail(what, *value);
  }
  pthread_mutex_unlock(&mutex);
}

static void on_failure(void* context, MQTTAsync_failureData* data) {
  (void)data;
  fail((const char*)context, data != NULL ? data->code : -1);
}

static void on_failure5(void* context, MQTTAsync_failureData5* data) {
  fail((const char*)context, data != NULL ? (int)data->reasonCode : -1);
}

static void on_subscribed(void* context, MQTTAsync_successData* data) {
  (void)context;
  (void)data;
  change(&subscribed, 1);
}

static void on_subscribed5(void* context, MQTTAsync_successData5* data) {
  (void)context;
  (void)data;
  change(&subscribed, 1);
}

static void on_published(void* context, MQTTAsync_successData* data) {
  (void)context;
  (void)data;
  change(&completed, completed + 1);
}

static void on_published5(void* context, MQTTAsync_successData5* data) {
  (void)context;
  (void)data;
  change(&completed, completed + 1);
}

static void on_connected(void* context, char* cause) {
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  (void)cause;
  options.context = "subscribe";
  if (version == 5) {
    options.onSuccess5 = on_subscribed5;
    options.onFailure5 = on_failure5;
  } else {
    options.onSuccess = on_subscribed;
    options.onFailure = on_failure;
  }
  if (MQTTAsync_subscribe(context, topic, qos, &options) != MQTTASYNC_SUCCESS) fail("subscribe", 0);
}

static int has_properties(MQTTAsync_message* message) {
  MQTTProperty* user = MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_USER_PROPERTY);
  MQTTProperty* type = MQTTProperties_getProperty(&message->properties, MQTTPROPERTY_CODE_CONTENT_TYPE);
  return user != NULL && user->value.data.len == 3 && memcmp(user->value.data.data, "key", 3) == 0 &&
         user->value.value.len == 5 && memcmp(user->value.value.data, "value", 5) == 0 && type != NULL &&
         type->value.data.len == 10 && memcmp(type->value.data.data, "text/plain", 10) == 0;
}

static int on_message(void* context, char* name, int length, MQTTAsync_message* message) {
  char expected[20];
  (void)context;
  (void)length;
  snprintf(expected, sizeof expected, "%d", received);
  if (strcmp(name, topic) != 0 || message->qos != qos || (size_t)message->payloadlen != strlen(expected) ||
      memcmp(message->payload, expected, strlen(expected)) != 0 || (version == 5 && !has_properties(message))) {
    printf("expected %s, got %.*s\n", expected, message->payloadlen, (const char*)message->payload);
    change(&wrong, wrong + 1);
  }
  change(&received, received + 1);
  MQTTAsync_freeMessage(&message);
  MQTTAsync_free(name);
  return 1;
}

static void connect_to(MQTTAsync client) {
  MQTTAsync_connectOptions options = MQTTAsync_connectOptions_initializer;
  MQTTAsync_connectOptions options5 = MQTTAsync_connectOptions_initializer5;
  MQTTAsync_connectOptions* chosen = version == 5 ? &options5 : &options;
  options.onFailure = on_failure;
  options5.onFailure5 = on_failure5;
  chosen->MQTTVersion = version;
  chosen->context = "connect";
  chosen->maxInflight = 90;
  if (MQTTAsync_connect(client, chosen) != MQTTASYNC_SUCCESS) fail("connect", 0);
}

static void publish(MQTTAsync client, int number) {
  char text[20];
  MQTTAsync_message message = MQTTAsync_message_initializer;
  MQTTAsync_responseOptions options = MQTTAsync_responseOptions_initializer;
  MQTTProperty user, type;
  snprintf(text, sizeof text, "%d", number);
  message.payload = text;
  message.payloadlen = (int)strlen(text);
  message.qos = qos;
  options.context = "publish";
  if (version == 5) {
    options.onSuccess5 = on_published5;
    options.onFailure5 = on_failure5;
    user.identifier = MQTTPROPERTY_CODE_USER_PROPERTY;
    user.value.data.data = "key";
    user.value.data.len = 3;
    user.value.value.data = "value";
    user.value.value.len = 5;
    MQTTProperties_add(&message.properties, &user);
    type.identifier = MQTTPROPERTY_CODE_CONTENT_TYPE;
    type.value.data.data = "text/plain";
    type.value.data.len = 10;
    MQTTProperties_add(&message.properties, &type);
  } else {
    options.onSuccess = on_published;
    options.onFailure = on_failure;
  }
  if (MQTTAsync_sendMessage(client, topic, &message, &options) != MQTTASYNC_SUCCESS) fail("sendMessage", number);
  MQTTProperties_free(&message.properties);
}

int main(int argc, char** argv) {
  MQTTAsync client;
  MQTTAsync_createOptions options = MQTTAsync_createOptions_initializer5;
  MQTTAsync_disconnectOptions disconnect = MQTTAsync_disconnectOptions_initializer;
  if (argc != 6) return 2;
  version = atoi(argv[3]);
  qos = atoi(argv[4]);
  count = atoi(argv[5]);
  snprintf(topic, sizeof topic, "%s/%d/%d", argv[2], version, qos);
  options.MQTTVersion = version;
  options.maxBufferedMessages = count;
  options.sendWhileDisconnected = 1;
  if (MQTTAsync_createWithOptions(&client, argv[1], topic, MQTTCLIENT_PERSISTENCE_NONE, NULL, &options) !=
      MQTTASYNC_SUCCESS) {
    fail("create", 0);
  }
  MQTTAsync_setCallbacks(client, NULL, NULL, on_message, NULL);
  MQTTAsync_setConnected(client, client, on_connected);
  connect_to(client);
  wait_for(&subscribed, 1, "not subscribed");
  for (int i = 0; i != count; ++i) publish(client, i);
  wait_for(&completed, count, "not all were acknowledged");
  wait_for(&received, count, "not all were received");
  if (wrong != 0) fail("wrong messages", wrong);
  MQTTAsync_disconnect(client, &disconnect);
  MQTTAsync_destroy(&client);
  puts("ok");
  return 0;
}

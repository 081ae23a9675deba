/* Paho C, the synchronous client, without persistence: prints "ok" or what went wrong.
   sync ADDRESS PREFIX 3|4|5 SCENARIO */
#include <MQTTClient.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char* address;
static const char* prefix;
static int version;

static const long kPatience = 40000; /* ms */

static void fail(const char* what, int code) {
  printf("%s: %d\n", what, code);
  exit(1);
}

static void check(int code, const char* what) {
  if (code != MQTTCLIENT_SUCCESS) fail(what, code);
}

static const char* name_of(const char* what) {
  static char name[256];
  snprintf(name, sizeof name, "%s/%d/%s", prefix, version, what);
  return name;
}

static MQTTClient make(const char* id) {
  MQTTClient client;
  MQTTClient_createOptions options = MQTTClient_createOptions_initializer;
  options.MQTTVersion = version == 5 ? MQTTVERSION_5 : MQTTVERSION_DEFAULT;
  check(MQTTClient_createWithOptions(&client, address, name_of(id), MQTTCLIENT_PERSISTENCE_NONE, NULL, &options),
        "create");
  return client;
}

/* Answers whether a session was present. */
static int connect_to(MQTTClient client, int clean, MQTTClient_willOptions* will) {
  MQTTClient_connectOptions options = MQTTClient_connectOptions_initializer;
  MQTTClient_connectOptions options5 = MQTTClient_connectOptions_initializer5;
  MQTTProperties properties = MQTTProperties_initializer;
  MQTTProperty expiry;
  MQTTResponse response;
  int present;
  if (version != 5) {
    options.MQTTVersion = version;
    options.cleansession = clean;
    options.will = will;
    check(MQTTClient_connect(client, &options), "connect");
    return options.returned.sessionPresent;
  }
  options5.cleanstart = clean;
  options5.will = will;
  expiry.identifier = MQTTPROPERTY_CODE_SESSION_EXPIRY_INTERVAL;
  expiry.value.integer4 = clean ? 0 : 100;
  MQTTProperties_add(&properties, &expiry);
  response = MQTTClient_connect5(client, &options5, &properties, NULL);
  if (response.reasonCode != MQTTREASONCODE_SUCCESS) fail("connect5", response.reasonCode);
  present = options5.returned.sessionPresent;
  MQTTResponse_free(response);
  MQTTProperties_free(&properties);
  return present;
}

static void subscribe(MQTTClient client, const char* topic, int qos) {
  if (version == 5) {
    MQTTResponse response = MQTTClient_subscribe5(client, topic, qos, NULL, NULL);
    if (response.reasonCode != (enum MQTTReasonCodes)qos) fail("subscribe5", response.reasonCode);
    MQTTResponse_free(response);
  } else {
    check(MQTTClient_subscribe(client, topic, qos), "subscribe");
  }
}

static void publish(MQTTClient client, const char* topic, const char* text, int qos, int retained) {
  MQTTClient_message message = MQTTClient_message_initializer;
  MQTTClient_deliveryToken token;
  message.payload = (void*)text;
  message.payloadlen = (int)strlen(text);
  message.qos = qos;
  message.retained = retained;
  if (version == 5) {
    MQTTResponse response = MQTTClient_publishMessage5(client, topic, &message, &token);
    if (response.reasonCode != MQTTREASONCODE_SUCCESS) fail("publish5", response.reasonCode);
    MQTTResponse_free(response);
  } else {
    check(MQTTClient_publishMessage(client, topic, &message, &token), "publish");
  }
  if (qos != 0) check(MQTTClient_waitForCompletion(client, token, kPatience), "waitForCompletion");
}

static void expect(MQTTClient client, const char* text, int qos, int retained) {
  char* topic = NULL;
  int length;
  MQTTClient_message* message = NULL;
  check(MQTTClient_receive(client, &topic, &length, &message, kPatience), "receive");
  if (message == NULL) fail("no message came", 0);
  if ((size_t)message->payloadlen != strlen(text) || memcmp(message->payload, text, strlen(text)) != 0) {
    printf("expected %s, got %.*s\n", text, message->payloadlen, (const char*)message->payload);
    exit(1);
  }
  if (message->qos != qos) fail("quality of service", message->qos);
  if (message->retained != retained) fail("retained", message->retained);
  MQTTClient_freeMessage(&message);
  MQTTClient_free(topic);
}

static void leave(MQTTClient client) {
  if (version == 5) {
    check(MQTTClient_disconnect5(client, 1000, MQTTREASONCODE_SUCCESS, NULL), "disconnect5");
  } else {
    check(MQTTClient_disconnect(client, 1000), "disconnect");
  }
  MQTTClient_destroy(&client);
}

static void every_qos(void) {
  MQTTClient receiver = make("receiver");
  MQTTClient sender = make("sender");
  char topic[256];
  connect_to(receiver, 1, NULL);
  connect_to(sender, 1, NULL);
  for (int qos = 0; qos <= 2; ++qos) {
    snprintf(topic, sizeof topic, "%s/%d", name_of("qos"), qos);
    subscribe(receiver, topic, qos);
    for (int i = 0; i != 5; ++i) {
      char text[20];
      snprintf(text, sizeof text, "%d", i);
      publish(sender, topic, text, qos, 0);
      expect(receiver, text, qos, 0);
    }
  }
  leave(receiver);
  leave(sender);
}

static void retained(void) {
  MQTTClient client = make("client");
  char topic[256];
  snprintf(topic, sizeof topic, "%s", name_of("retained"));
  connect_to(client, 1, NULL);
  publish(client, topic, "kept", 1, 1);
  subscribe(client, topic, 2);
  expect(client, "kept", 1, 1);
  publish(client, topic, "", 1, 1);
  expect(client, "", 1, 0);
  leave(client);
}

static void resumed(void) {
  MQTTClient receiver = make("receiver");
  MQTTClient sender = make("sender");
  char topic[256];
  snprintf(topic, sizeof topic, "%s", name_of("resumed"));
  connect_to(sender, 1, NULL);
  if (connect_to(receiver, 0, NULL)) fail("a session before the first", 1);
  subscribe(receiver, topic, 2);
  leave(receiver);
  publish(sender, topic, "one", 2, 0);
  publish(sender, topic, "two", 2, 0);
  receiver = make("receiver");
  /* 3.1 knows no Session Present, and with 5.0 this call of Paho 1.3 does not pass it on. */
  if (connect_to(receiver, 0, NULL) != (version == 4)) fail("session present", version);
  expect(receiver, "one", 2, 0);
  expect(receiver, "two", 2, 0);
  leave(receiver);
  leave(sender);
}

/* The system closes the socket of a program that ends like this. */
static void will(void) {
  MQTTClient client = make("dies");
  MQTTClient_willOptions options = MQTTClient_willOptions_initializer;
  char topic[256];
  snprintf(topic, sizeof topic, "%s", name_of("will"));
  options.topicName = topic;
  options.message = "gone";
  options.qos = 1;
  connect_to(client, 1, &options);
  puts("ok");
  fflush(stdout);
  _Exit(0);
}

int main(int argc, char** argv) {
  if (argc != 5) return 2;
  address = argv[1];
  prefix = argv[2];
  version = atoi(argv[3]);
  if (strcmp(argv[4], "every_qos") == 0) {
    every_qos();
  } else if (strcmp(argv[4], "retained") == 0) {
    retained();
  } else if (strcmp(argv[4], "resumed") == 0) {
    resumed();
  } else if (strcmp(argv[4], "will") == 0) {
    will();
  } else {
    return 2;
  }
  puts("ok");
  return 0;
}

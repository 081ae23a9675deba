// What the command line asks for; README.md beside this file tells what each option means. Made once by main and read
// by all, never changed after.
#pragma once

#include <cstdint>
#include <string>

namespace mqloop::load {

struct Options {
  std::string scenario;
  // --- common
  std::string host = "127.0.0.1";
  std::string label;
  int port = 1883;
  int pid = 0;  // of the broker; 0 = its CPU time and memory are not read
  int version = 4;
  int source_addresses = 0;  // 0 = as many as are needed
  double limit = 240;        // seconds, of the whole program
  double settle = 1;         // factor of the rests between steps; a shorter one makes figures of memory worthless
  bool web_socket = false;
  bool frame_per_packet = false;
  std::string ws_path = "/mqtt";
  // --- flows
  int pairs = 50;
  int publishers = -1;
  int subscribers = -1;
  int group = 0;  // fanin: members of a shared group; 0 = plain subscribers
  int qos = 0;
  int subscriber_qos = -1;  // -1 = as qos
  bool mix = false;
  int depth = 0;  // levels of a topic; 0 = as few as the scenario needs
  int payload = 64;
  int window = 32;
  double seconds = 5;
  double warm = 1;
  double drain = 10;
  std::string gate = "both";  // above QoS 0 a message is in flight until: ack = acknowledged | both = and delivered
  std::string shape = "pairs";
  bool durable = false;  // the sessions outlive their connections
  double rate = 10000;   // latency: messages a second, all publishers together
  bool spin = false;
  // --- connect, idle, offline, churn
  uint64_t count = 10000;
  int concurrency = 100;
  bool fast = false;
  double hold = 3;
  // --- subs, churn
  std::string steps = "1000,10000,100000";
  int clients = 10;
  int batch = 10;
  uint64_t messages = 200000;
  uint64_t hot = 0;
  uint64_t filters = 10000;
  // --- retained, offline
  uint64_t retained = 100000;
  std::string filter = "#";
  int finds = 100;
  int sessions = 100;
  std::string topics = "own";
  double stuck = 5;    // seconds without a delivery after which the rest counts as lost
  bool leave = false;  // what was queued or stored stays, and all that comes after it is left out
  // --- beside
  std::string by = "fanout";
  int pair_port = 0;  // of another broker, which the pairs use; 0 = the same

  int granted_qos() const { return subscriber_qos < 0 ? qos : subscriber_qos; }
  uint32_t stamped_payload() const { return static_cast<uint32_t>(payload < 16 ? 16 : payload); }
};

Options options_from(int argc, char** argv);
[[noreturn]] void print_usage();

}  // namespace mqloop::load

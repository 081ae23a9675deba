#include "tests/bench/load/options.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <type_traits>
#include <variant>

namespace mqloop::load {

namespace {

using Member = std::variant<int Options::*, uint64_t Options::*, double Options::*, std::string Options::*>;

constexpr struct {
  std::string_view name;
  Member member;
} kValues[] = {
    {"--host", &Options::host},
    {"--port", &Options::port},
    {"--pid", &Options::pid},
    {"--v", &Options::version},
    {"--label", &Options::label},
    {"--srcs", &Options::source_addresses},
    {"--limit", &Options::limit},
    {"--settle", &Options::settle},
    {"--ws-path", &Options::ws_path},
    {"--pairs", &Options::pairs},
    {"--pubs", &Options::publishers},
    {"--subs", &Options::subscribers},
    {"--group", &Options::group},
    {"--qos", &Options::qos},
    {"--subqos", &Options::subscriber_qos},
    {"--depth", &Options::depth},
    {"--payload", &Options::payload},
    {"--window", &Options::window},
    {"--secs", &Options::seconds},
    {"--warm", &Options::warm},
    {"--drain", &Options::drain},
    {"--gate", &Options::gate},
    {"--shape", &Options::shape},
    {"--rate", &Options::rate},
    {"--n", &Options::count},
    {"--conc", &Options::concurrency},
    {"--hold", &Options::hold},
    {"--steps", &Options::steps},
    {"--clients", &Options::clients},
    {"--batch", &Options::batch},
    {"--msgs", &Options::messages},
    {"--hot", &Options::hot},
    {"--filters", &Options::filters},
    {"--retained", &Options::retained},
    {"--filter", &Options::filter},
    {"--finds", &Options::finds},
    {"--sessions", &Options::sessions},
    {"--topics", &Options::topics},
    {"--stuck", &Options::stuck},
    {"--by", &Options::by},
    {"--pair-port", &Options::pair_port},
};

constexpr struct {
  std::string_view name;
  bool Options::*member;
} kFlags[] = {
    {"--spin", &Options::spin},
    {"--fast", &Options::fast},
    {"--mix", &Options::mix},
    {"--durable", &Options::durable},
    {"--leave", &Options::leave},
    {"--ws", &Options::web_socket},
    {"--ws-frame-per-packet", &Options::frame_per_packet},
};

template <typename Number>
Number number_from(const char* name, const char* text) {
  char* end = nullptr;
  Number value{};
  if constexpr (std::is_same_v<Number, double>) {
    value = std::strtod(text, &end);
  } else if constexpr (std::is_same_v<Number, uint64_t>) {
    value = std::strtoull(text, &end, 10);
  } else {
    value = static_cast<Number>(std::strtol(text, &end, 10));
  }
  if (end == text || *end != '\0') {
    std::fprintf(stderr, "load: %s takes a number, not '%s'\n", name, text);
    print_usage();
  }
  return value;
}

bool set_flag(Options& options, std::string_view name) {
  for (const auto& flag : kFlags) {
    if (flag.name != name) continue;
    options.*flag.member = true;
    return true;
  }
  return false;
}

bool set_value(Options& options, const char* name, const char* text) {
  for (const auto& value : kValues) {
    if (value.name != name) continue;
    std::visit(
        [&](auto member) {
          using Type = std::remove_reference_t<decltype(options.*member)>;
          if constexpr (std::is_same_v<Type, std::string>) {
            options.*member = text;
          } else {
            options.*member = number_from<Type>(name, text);
          }
        },
        value.member);
    return true;
  }
  return false;
}

}  // namespace

void print_usage() {
  std::fputs(
      "usage: load SCENARIO [options]\n"
      "scenarios: pairs fanout fanin latency connect idle subs churn retained offline beside\n"
      "common:   --host 127.0.0.1 --port 1883 --pid BROKER_PID --v 4|5 --label TEXT --srcs N --limit SECS\n"
      "          --settle FACTOR (of the rests between steps)\n"
      "          --ws (WebSocket) --ws-path /mqtt --ws-frame-per-packet\n"
      "flows:    --pairs N | --pubs N --subs N | --group M (shared group)  --qos Q --subqos Q --mix --payload B\n"
      "          --depth LEVELS --window W --secs T --warm T --drain T --gate both|ack --durable\n"
      "latency:  --shape pairs|fanout|fanin --rate MSGS_PER_S --spin\n"
      "connect:  --n N --conc C --fast      idle: --n N --conc C --hold SECS\n"
      "subs:     --steps 1000,10000,... --clients C --batch FILTERS_PER_PACKET --msgs M --hot TOPICS\n"
      "churn:    --n N --filters F --clients C --batch FILTERS_PER_PACKET\n"
      "retained: --retained R --filter '#' --finds F --subqos Q --payload B --leave\n"
      "offline:  --sessions N --n MSGS_PER_SESSION --topics own|shared --payload B --stuck SECS --leave\n"
      "beside:   --by fanout|flood|replay --pairs N --rate MSGS_PER_S --secs T --n CONNECTED --sessions AWAY "
      "--retained R\n",
      stderr);
  std::exit(2);
}

Options options_from(int argc, char** argv) {
  if (argc < 2) print_usage();
  Options options;
  options.scenario = argv[1];
  for (int i = 2; i < argc; ++i) {
    if (set_flag(options, argv[i])) continue;
    if (i + 1 < argc && set_value(options, argv[i], argv[i + 1])) {
      ++i;
      continue;
    }
    std::fprintf(stderr, "load: unknown option %s, or one without its value\n", argv[i]);
    print_usage();
  }
  options.web_socket = options.web_socket || options.frame_per_packet;
  return options;
}

}  // namespace mqloop::load

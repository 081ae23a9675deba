#include "plugins/transport_websocket/frame_reader.h"

#include <string>

#include <CppUTest/TestHarness.h>

#include "tests/unit/transport_websocket/frames.h"

namespace mqloop::websocket {

namespace {

using testing::frame;

// All that a reader has told, whatever it was given at a time.
struct Told {
  std::string payload;
  std::string pings;
  int close = 0;
  std::string reason;
  bool is_violation = false;
};

void give(FrameReader& reader, std::string bytes, Told& told) {
  const FrameReader::Result result = reader.take({reinterpret_cast<std::uint8_t*>(bytes.data()), bytes.size()});
  told.payload += bytes.substr(0, result.payload);
  if (result.ping) told.pings += *result.ping + ';';
  if (result.close == CloseCode::kNone) return;
  told.close = static_cast<int>(result.close);
  told.reason = result.reason;
  told.is_violation = result.is_violation;
}

Told told_of(const std::string& bytes) {
  FrameReader reader;
  Told told;
  give(reader, bytes, told);
  return told;
}

void violates(CloseCode code, const std::string& bytes, const std::string& before = {}) {
  const Told told = told_of(bytes);
  CHECK(told.is_violation);
  LONGS_EQUAL(static_cast<int>(code), told.close);
  CHECK(!told.reason.empty());
  CHECK(before == told.payload);
}

std::string close_frame(int code, const std::string& reason = {}) {
  return frame(0x88, std::string{static_cast<char>(code >> 8), static_cast<char>(code)} + reason);
}

}  // namespace

TEST_GROUP(FrameReader){};

TEST(FrameReader, gives_the_payload_of_every_length) {
  for (const std::size_t size : {0, 1, 3, 7, 8, 9, 125, 126, 127, 65535, 65536, 70001}) {
    std::string payload(size, 'x');
    for (std::size_t i = 0; i != size; ++i) payload[i] = static_cast<char>(i * 31);
    const Told told = told_of(frame(0x82, payload) + frame(0x82, "y"));
    CHECK(payload + 'y' == told.payload);
    LONGS_EQUAL(0, told.close);
  }
}

TEST(FrameReader, puts_fragments_and_what_is_around_control_frames_together) {
  const Told told = told_of(frame(0x02, "a") + frame(0x89, "ping") + frame(0x00, "") + frame(0x80, "b") +
                            frame(0x8a, std::string(125, 'x')) + frame(0x82, "c"));
  STRCMP_EQUAL("abc", told.payload.c_str());
  STRCMP_EQUAL("ping;", told.pings.c_str());
  LONGS_EQUAL(0, told.close);
}

TEST(FrameReader, goes_on_at_every_byte) {
  const std::string stream = frame(0x82, "whole") + frame(0x02, "first ") + frame(0x89, "are you there") +
                             frame(0x00, std::string(300, 'm')) + frame(0x80, "last") + frame(0x89, "") +
                             frame(0x82, std::string(70000, 'l')) + frame(0x82, "") + close_frame(1001, "bye");
  const std::string payload = "wholefirst " + std::string(300, 'm') + "last" + std::string(70000, 'l');
  for (std::size_t cut = 0; cut < stream.size(); cut += cut < 700 || cut > 70800 ? 1 : 997) {
    FrameReader reader;
    Told told;
    give(reader, stream.substr(0, cut), told);
    give(reader, stream.substr(cut), told);
    CHECK(payload == told.payload);
    // Of pings that come at once the last is told.
    CHECK(told.pings == ";" || told.pings == "are you there;;");
    LONGS_EQUAL(1001, told.close);
    STRCMP_EQUAL("bye", told.reason.c_str());
    CHECK(!told.is_violation);
  }
  FrameReader reader;
  Told told;
  for (const char byte : stream) give(reader, std::string(1, byte), told);
  CHECK(payload == told.payload);
  STRCMP_EQUAL("are you there;;", told.pings.c_str());
}

TEST(FrameReader, refuses_what_rfc_6455_forbids_and_gives_what_came_before) {
  const CloseCode error = CloseCode::kProtocolError;
  const std::string good = frame(0x82, "good");
  for (const int reserved : {0x40, 0x20, 0x10}) violates(error, good + frame(0x82 | reserved, "x"), "good");
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15})
    violates(error, good + frame(0x80 | opcode, "x"), "good");
  violates(error, frame(0x09, "x"));
  violates(error, frame(0x80, "x"));
  violates(error, frame(0x02, "a") + frame(0x82, "x"), "a");
  violates(error, frame(0x89, std::string(126, 'x')));
  violates(error, good + std::string("\x82\x01x", 3), "good");
  violates(error, std::string("\x82\xff\x80\0\0\0\0\0\0\0", 10));
  violates(CloseCode::kUnsupportedData, frame(0x81, "x"));
}

TEST(FrameReader, judges_close_frames) {
  for (const int code : {1000, 1001, 1003, 1007, 1011, 1014, 3000, 4999}) {
    const Told told = told_of(close_frame(code, "\xc3\xa9") + "no frame");
    CHECK(!told.is_violation);
    LONGS_EQUAL(code, told.close);
    STRCMP_EQUAL("\xc3\xa9", told.reason.c_str());
  }
  LONGS_EQUAL(1000, told_of(frame(0x88, "")).close);
  for (const int code : {0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535}) {
    violates(CloseCode::kProtocolError, close_frame(code));
  }
  violates(CloseCode::kProtocolError, frame(0x88, "\x03"));
  violates(CloseCode::kInvalidPayload, close_frame(1000, "\xc3\x28"));
}

TEST(FrameReader, gives_nothing_that_comes_behind_a_close_frame) {
  FrameReader reader;
  Told told;
  give(reader, frame(0x88, "") + frame(0x82, "late"), told);
  give(reader, frame(0x82, "later"), told);
  CHECK(told.payload.empty());
}

}  // namespace mqloop::websocket

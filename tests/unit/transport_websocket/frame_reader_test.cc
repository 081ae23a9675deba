#include "plugins/transport_websocket/frame_tracker.h"

#include <string>
#include <vector>

#include <CppUTest/TestHarness.h>

#include "tests/unit/transport_websocket/frames.h"

namespace mqloop::websocket {

namespace {

using testing::frame;
using testing::FrameReader;

std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

std::string prefix_of(const FrameTracker& tracker) {
  const std::vector<std::uint8_t> bytes = tracker.prefix();
  return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_GROUP(FrameTracker) {
  FrameTracker tracker;

  void violates(CloseCode code, const std::string& text, std::size_t good) {
    FrameTracker whole;
    const FrameTracker::Step step = whole.take(bytes_of(text));
    LONGS_EQUAL(static_cast<int>(code), static_cast<int>(step.code));
    LONGS_EQUAL(good, step.good);
  }
  void is_fine(const std::string& text) {
    FrameTracker whole;
    const FrameTracker::Step step = whole.take(bytes_of(text));
    LONGS_EQUAL_TEXT(0, static_cast<int>(step.code), std::string(step.reason).c_str());
    LONGS_EQUAL(text.size(), step.good);
  }
};

TEST(FrameTracker, lets_whole_messages_fragments_and_control_frames_pass) {
  for (const std::size_t size : {0, 1, 125, 126, 65535, 65536}) is_fine(frame(0x82, std::string(size, 'x')));
  is_fine(frame(0x02, "a") + frame(0x89, "ping") + frame(0x00, "") + frame(0x80, "b") + frame(0x82, "c"));
  is_fine(frame(0x8a, std::string(125, 'x')) + frame(0x88, std::string("\x03\xe8", 2)));
}

TEST(FrameTracker, refuses_what_rfc_6455_forbids_at_the_byte_that_tells) {
  const CloseCode error = CloseCode::kProtocolError;
  for (const int reserved : {0x40, 0x20, 0x10}) violates(error, frame(0x82 | reserved, "x"), 0);
  for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) violates(error, frame(0x80 | opcode, "x"), 0);
  violates(error, frame(0x09, "x"), 0);
  violates(error, frame(0x80, "x"), 0);
  violates(error, frame(0x02, "") + frame(0x82, "x"), 6);
  violates(error, frame(0x89, std::string(126, 'x')), 1);
  violates(error, std::string("\x82\x01x", 3), 1);
  violates(error, std::string("\x82\xff\x80\0\0\0\0\0\0\0", 10), 2);
  violates(CloseCode::kUnsupportedData, frame(0x81, "x"), 0);
}

// Whatever of a stream one reader was given, another that begins with the prefix reads the rest as the first would
// have.
TEST(FrameTracker, hands_on_nothing_that_comes_behind_a_close_frame) {
  const std::string close = frame(0x88, "");
  const FrameTracker::Step step = tracker.take(bytes_of(close + "no frame"));
  LONGS_EQUAL(close.size(), step.good);
  LONGS_EQUAL(0, static_cast<int>(step.code));
  LONGS_EQUAL(0, tracker.take(bytes_of("more")).good);
}

TEST(FrameTracker, another_reader_can_go_on_from_every_byte) {
  const std::string stream = frame(0x82, "whole") + frame(0x02, "first ") + frame(0x89, "are you there") +
                             frame(0x00, std::string(300, 'm')) + frame(0x80, "last") +
                             frame(0x82, std::string(70000, 'l')) + frame(0x82, "");
  FrameReader whole;
  CHECK(whole.read(stream));
  for (std::size_t cut = 0; cut < stream.size(); cut += cut < 700 ? 1 : 997) {
    FrameTracker before;
    LONGS_EQUAL(cut, before.take(bytes_of(stream.substr(0, cut))).good);
    FrameReader first;
    first.read(stream.substr(0, cut));
    FrameReader second;
    CHECK(second.read(prefix_of(before) + stream.substr(cut)));
    CHECK(whole.payload == first.payload + second.payload);
    CHECK(whole.control.substr(first.control.size()) == second.control);
    LONGS_EQUAL(whole.messages, first.messages + second.messages);
  }
}

TEST(FrameTracker, between_messages_there_is_nothing_to_tell) {
  tracker.take(bytes_of(frame(0x82, "x")));
  CHECK(tracker.prefix().empty());
}

}  // namespace mqloop::websocket

// Valid packets of every type, version and direction, in bytes: what the tests of truncation, splitting and round trip
// go through. Each is in the shortest form, so encoding what was decoded gives the same bytes again.
#pragma once

#include <string>
#include <vector>

#include "tests/unit/mqtt/wire.h"

namespace mqloop::mqtt::test {

struct Sample {
  std::string name;
  Role sender;
  ProtocolVersion version;
  Bytes bytes;
  // The body may end early and still be a packet: a payload, a list of codes, an acknowledgement in its short forms.
  bool has_shorter_forms = false;
};

const std::vector<Sample>& samples();

}  // namespace mqloop::mqtt::test

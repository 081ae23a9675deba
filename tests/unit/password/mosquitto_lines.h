// What mosquitto_passwd 2.0.11 of Debian 12 wrote, `-H sha512` for the one of 1.x, with the passwords that it was
// given. tests/plugin/mosquitto_2.0.11.pw is the file.
#pragma once

#include <string_view>

namespace mqloop::password_test {

struct MosquittoLine {
  std::string_view name;
  std::string_view password;
  std::string_view hash;
};

inline constexpr MosquittoLine kMosquittoLines[] = {
    {"alice", "wonder land",
     "$7$101$bG/iJoa0WS5w/Gxv$"
     "Hg9Ko9TC9wufs7MHVgsND4JpcDk6wsOozCvaY8MYiqDAfdIQc2+xb8vLTmu0B+iR1MVW7/f8DoP/6SB4kR+ZJA=="},
    {"bob", "hunter2",
     "$7$101$OUqPWfGOHeps0Ma9$"
     "2CWk3O0VLpPu9aJyETRbT3pYpzRGKl+VIb8MZly/F2W/zF1nsa+eF6OskRl0/beud3VjoEjLNzPFSnAfSueNAQ=="},
    {"sensor-7", "s3cret",
     "$7$101$krKoXGW31B3gYc07$"
     "baSBVOiRw+3RSZ/uD6RK4uK16BUNnC9yGClwOozR/LIUtNfkw3hEumWs9r0NT7NqHZfYz8d77dx6PK7kT3Ak0w=="},
    {"old", "of 1.6",
     "$6$2noKBVtJEssLtEY+$"
     "HbUQlrS0IJ2iOgp81EbfJaGlPdnPPymibVLWLH60OyitwHpS4JBB7RdmJki4INqmrW2xhzH6POzi6Im7yug+3A=="},
    {"zoë", "ünïcode €",
     "$7$101$KDfoK3CZvWUXveRM$"
     "pk9VF3nxlK9t9P0MAZzX7MWJCnM6knD3hcflulw6DczTSgJKYxdjJkDxeaf8EKC0743QP1/B0K3oJNLCW+fKpw=="},
};

}  // namespace mqloop::password_test

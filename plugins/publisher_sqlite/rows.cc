#include "plugins/publisher_sqlite/rows.h"

namespace mqloop::publisher_sqlite {

store::Outcome StoreRows::remove_known_delivery(std::uint64_t session, std::uint64_t delivery, bool& existed) {
  Outcome outcome = store_.remove_delivery(session, delivery);
  existed = outcome.ok() && store_.database().changes() != 0;
  return outcome;
}

store::Outcome StoreRows::remove_shared_delivery(std::string_view group, std::uint64_t message, bool& existed) {
  Outcome outcome = store_.remove_shared_delivery(group, message);
  existed = outcome.ok() && store_.database().changes() != 0;
  return outcome;
}

}  // namespace mqloop::publisher_sqlite

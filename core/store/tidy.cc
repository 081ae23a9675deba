#include <algorithm>

#include "core/store/reader.h"

namespace mqloop::store {
namespace {

constexpr std::size_t kRowsInTransaction = 10'000;

// Runs `one` over [0, count) in transactions of bounded size.
template <typename One>
Outcome in_slices(Store& store, std::size_t count, const One& one) {
  for (std::size_t begin = 0; begin < count; begin += kRowsInTransaction) {
    const std::size_t end = std::min(count, begin + kRowsInTransaction);
    Outcome outcome = store.begin();
    for (std::size_t i = begin; outcome.ok() && i < end; ++i) outcome = one(i);
    if (outcome.ok()) outcome = store.commit();
    if (!outcome.ok()) {
      store.roll_back();
      return outcome;
    }
  }
  return {};
}

void release(Recovered& recovered, std::uint64_t number) {
  const auto at =
      std::lower_bound(recovered.messages.begin(), recovered.messages.end(), number,
                       [](const MessageReferences& message, std::uint64_t wanted) { return message.number < wanted; });
  if (at != recovered.messages.end() && at->number == number && at->references > 0) --at->references;
}

}  // namespace

Outcome tidy(Store& store, Recovered& recovered) {
  const auto& sessions = recovered.dead_sessions;
  const auto& deliveries = recovered.dead_deliveries;
  const auto& shared = recovered.dead_shared_deliveries;
  const auto& retained = recovered.dead_retained;
  Outcome outcome = in_slices(store, sessions.size(), [&](std::size_t i) { return store.end_session(sessions[i]); });
  if (!outcome.ok()) return outcome;
  recovered.ended_left = recovered.ended_left || !sessions.empty();
  outcome = in_slices(store, deliveries.size(), [&](std::size_t i) {
    std::uint64_t message = 0;
    Outcome one = store.remove_delivery(deliveries[i].session, deliveries[i].number, &message);
    if (one.ok()) release(recovered, message);
    return one;
  });
  if (!outcome.ok()) return outcome;
  outcome = in_slices(store, shared.size(), [&](std::size_t i) {
    release(recovered, shared[i].message);
    return store.remove_shared_delivery(shared[i].group, shared[i].message);
  });
  if (!outcome.ok()) return outcome;
  outcome = in_slices(store, retained.size(), [&](std::size_t i) { return store.clear_retained(retained[i]); });
  if (!outcome.ok()) return outcome;
  const auto unwanted = std::stable_partition(recovered.messages.begin(), recovered.messages.end(),
                                              [](const MessageReferences& message) { return message.references > 0; });
  const auto first = static_cast<std::size_t>(unwanted - recovered.messages.begin());
  outcome = in_slices(store, recovered.messages.size() - first,
                      [&](std::size_t i) { return store.remove_message(recovered.messages[first + i].number); });
  if (!outcome.ok()) return outcome;
  recovered.messages.erase(unwanted, recovered.messages.end());
  recovered.dead_sessions.clear();
  recovered.dead_deliveries.clear();
  recovered.dead_shared_deliveries.clear();
  recovered.dead_retained.clear();
  return {};
}

}  // namespace mqloop::store

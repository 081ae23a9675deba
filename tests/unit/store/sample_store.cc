#include "tests/unit/store/sample_store.h"

#include <vector>

#include "tests/unit/store/store_fixture.h"

namespace mqloop::store_test {
namespace {

using namespace mqloop::store;

class Sample {
 public:
  Sample(Store& store, std::uint64_t seed) : store_(store), random_(seed) {}

  std::string make() {
    must(store_.begin());
    for (std::uint64_t i = 1; i <= kSessions; ++i) put_session(i);
    for (std::uint64_t i = 1; i <= kMessages; ++i) put_message(i);
    for (std::uint64_t i = 1; i <= kRetained; ++i) put_retained(i);
    Progress progress;
    progress.batch = 77;
    progress.numbers = {kSessions, kMessages * 64, delivery_, kRetained};
    must(store_.set_progress(progress));
    must(store_.commit());
    // A third of it goes again, with a session: pages are freed, in the middle too.
    must(store_.begin());
    for (std::uint64_t i = kMessages / 3; i <= kMessages * 2 / 3; ++i) {
      for (const auto& [session, number] : deliveries_of_[i]) must(store_.remove_delivery(session, number));
      if (!group_of_[i].empty()) must(store_.remove_shared_delivery(group_of_[i], i * 64));
      must(store_.remove_message(i * 64));
    }
    must(store_.end_session(3));
    must(store_.commit());
    return fault_;
  }

 private:
  static constexpr std::uint64_t kSessions = 150;
  static constexpr std::uint64_t kMessages = 1500;
  static constexpr std::uint64_t kRetained = 200;

  void must(const Outcome& outcome) {
    if (fault_.empty() && !outcome.ok()) fault_ = outcome.text();
  }
  std::uint64_t below(std::uint64_t most) { return random_() % most; }
  std::string text(std::size_t size) {
    std::string out(size, ' ');
    for (char& one : out) one = static_cast<char>('a' + below(26));
    return out;
  }

  void put_session(std::uint64_t number) {
    const std::string client_id = "client-" + text(5 + below(40));
    const std::string payload = text(below(300));
    Principal::Content who;
    who.client_id = client_id;
    who.chain = "default";
    who.listener = "local";
    const auto principal = Principal::create(who);
    WillRow will;
    will.topic = "will/of/somebody";
    will.payload = bytes(payload);
    SessionRow row;
    row.number = number;
    row.client_id = client_id;
    row.expiry_interval = 0xFFFFFFFF;
    row.gone_at = wall(1000);
    if (below(2) == 0) row.will = &will;
    if (below(2) == 0) row.principal = principal.get();
    must(store_.put_session(row));
    for (std::uint64_t i = 0; i < below(4); ++i) {
      const std::string filter = text(5) + "/+/" + std::to_string(i);
      must(store_.put_subscription({number, filter, QoS::kAtLeastOnce, 0, static_cast<std::uint32_t>(i)}));
    }
    for (std::uint64_t i = 0; i < below(3); ++i) {
      must(store_.insert_received(number, static_cast<std::uint16_t>(1 + below(65'535))));
    }
  }

  void put_message(std::uint64_t number) {
    const std::string topic = "plant/" + text(8) + "/value";
    // One in twenty goes on on other pages.
    const std::string payload = text(below(20) == 0 ? 5000 + below(9000) : below(200));
    MessageRow row;
    row.number = number * 64;
    row.topic = topic;
    row.payload = bytes(payload);
    row.qos = QoS::kExactlyOnce;
    must(store_.insert_message(row));
    deliveries_of_.resize(number + 1);
    const std::uint64_t recipients = 1 + below(3);
    for (std::uint64_t i = 0; i < recipients; ++i) {
      DeliveryRow delivery;
      delivery.session = 1 + below(kSessions);
      delivery.number = ++delivery_;
      delivery.message = row.number;
      delivery.qos = QoS::kExactlyOnce;
      delivery.packet_id = static_cast<std::uint16_t>(below(3) == 0 ? 1 + below(1000) : 0);
      must(store_.insert_delivery(delivery));
      deliveries_of_[number].emplace_back(delivery.session, delivery.number);
    }
    group_of_.emplace_back(below(10) == 0 ? "$share/group/" + text(1) + "/#" : "");
    if (!group_of_.back().empty()) must(store_.insert_shared_delivery(group_of_.back(), row.number));
  }

  void put_retained(std::uint64_t number) {
    const std::string topic = "state/" + std::to_string(number) + '/' + text(10);
    const std::string payload = text(below(15) == 0 ? 2000 + below(9000) : below(100));
    RetainedRow row;
    row.message.topic = topic;
    row.message.payload = bytes(payload);
    row.sequence = number;
    must(store_.put_retained(row));
  }

  Store& store_;
  std::mt19937_64 random_;
  std::string fault_;
  std::uint64_t delivery_ = 0;
  std::vector<std::vector<std::pair<std::uint64_t, std::uint64_t>>> deliveries_of_{1};
  std::vector<std::string> group_of_{1};
};

}  // namespace

std::string fill_sample(Store& store, std::uint64_t seed) { return Sample(store, seed).make(); }

std::set<std::string> rows_of(Store& store) {
  constexpr struct {
    const char* name;
    const char* columns;
  } kTables[] = {
      {"session",
       "number,hex(client_id),user_name,expiry_interval,connected,gone_at,will_topic,hex(will_payload),"
       "hex(principal_client_id),principal_chain"},
      {"subscription", "session,filter,qos,options,identifier"},
      {"message", "number,topic,hex(payload),hex(properties),qos,retain,expires_at"},
      {"delivery", "session,number,message,qos,retain,packet_id,received,hex(identifiers),share"},
      {"received", "session,packet_id"},
      {"shared_delivery", "share,message"},
      {"retained", "topic,sequence,number,hex(payload),hex(properties),qos,expires_at,stored_at"},
      {"ended", "session"},
  };
  std::set<std::string> rows;
  for (const auto& table : kTables) {
    Statement statement;
    std::string list = table.columns;
    // `a,b` becomes `ifnull(a,'-')||'|'||ifnull(b,'-')`.
    std::string joined;
    for (std::size_t begin = 0; begin < list.size();) {
      const std::size_t end = std::min(list.find(',', begin), list.size());
      joined += (joined.empty() ? "ifnull(" : "||'|'||ifnull(") + list.substr(begin, end - begin) + ",'-')";
      begin = end + 1;
    }
    if (!store.database().prepare("SELECT " + joined + " FROM " + table.name, statement).ok()) return {};
    for (bool row = true;;) {
      if (!statement.next(row).ok()) return {};
      if (!row) break;
      rows.insert(std::string(table.name) + '|' + std::string(statement.text(0)));
    }
  }
  return rows;
}

}  // namespace mqloop::store_test
